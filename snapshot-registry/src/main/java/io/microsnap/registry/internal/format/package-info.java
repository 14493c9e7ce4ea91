/** What lies in a registry: artifacts, frame tables, frames, packs. {@code docs/registry-format.md} describes it. */
package io.microsnap.registry.internal.format;
