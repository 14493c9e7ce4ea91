/**
 * Makes images that hold equal pages share their blocks. A {@link io.microsnap.dedup.Deduplicator} does it for one
 * snapshot of a store, for all of them, or for two files; a capture does it by itself for a fresh snapshot.
 * It compares the target with its canonical image, plans which ranges to share within the fragmentation policy, and
 * shares them by one of the {@link io.microsnap.dedup.Engine}s.
 */
package io.microsnap.dedup;
