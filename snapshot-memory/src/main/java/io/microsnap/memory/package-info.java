/**
 * Captures machines and restores them. A {@link io.microsnap.memory.Capture} says what to capture; it is prepared while
 * the machine runs, captured during the pause, and published afterwards. A {@link io.microsnap.memory.Restore} brings
 * the memory back by one of the {@link io.microsnap.memory.RestoreEngine}s, as a
 * {@link io.microsnap.memory.RestoredSnapshot}. {@link io.microsnap.memory.Verification},
 * {@link io.microsnap.memory.Export} and {@link io.microsnap.memory.Prune} look after snapshots.
 */
package io.microsnap.memory;
