/**
 * Makes images that hold equal pages share their blocks. {@link io.microsnap.dedup.AfterBake} does it for a fresh
 * snapshot, {@link io.microsnap.dedup.StoreDeduplicator} for one snapshot of a store and
 * {@link io.microsnap.dedup.StoreBatch} for all of them; {@link io.microsnap.dedup.Deduplicator} works on two files.
 * Each compares the target with its canonical image, plans which ranges to share within the fragmentation policy, and
 * shares them by one of the {@link io.microsnap.dedup.Engine}s.
 */
package io.microsnap.dedup;
