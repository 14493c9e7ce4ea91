/**
 * The directory of snapshots. Open a {@link SnapshotStore}; it lists, inspects, transfers and deletes snapshots, each
 * described by its {@link Manifest}. Captures write into it and restores read from it ({@code io.microsnap.memory}).
 */
package io.microsnap.store;
