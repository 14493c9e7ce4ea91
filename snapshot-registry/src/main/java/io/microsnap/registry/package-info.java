/**
 * Moves snapshots between stores and OCI registries. A {@link io.microsnap.registry.Push} brings a snapshot and the
 * bases that it requires into a repository as one artifact, a {@link io.microsnap.registry.Pull} brings it into another
 * store, and a {@link io.microsnap.registry.RemoteRepository} lists what is there.
 * {@code docs/registry-format.md} describes artifacts byte for byte.
 */
package io.microsnap.registry;
