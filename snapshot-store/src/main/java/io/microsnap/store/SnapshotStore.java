package io.microsnap.store;

import io.microsnap.core.BusyException;
import io.microsnap.core.Progress;
import io.microsnap.core.SnapshotException;
import io.microsnap.core.SnapshotId;
import io.microsnap.core.SnapshotReference;
import io.microsnap.core.internal.posix.Posix;
import io.microsnap.store.internal.DirectoryStore;
import java.io.IOException;
import java.nio.file.Path;
import java.util.List;
import java.util.Optional;

/**
 * The directory of snapshots. Any number of processes and threads may use one store: readers never wait; writers of
 * different snapshots exclude each other only for the moment of a rename, and wait for it no longer than the options
 * allow; a process that dies at any moment leaves every snapshot whole or absent.
 *
 * <p>Captures write snapshots into a store, restores read them; both are in {@code io.microsnap.memory}.
 */
public sealed interface SnapshotStore extends AutoCloseable permits DirectoryStore {
    /**
     * The most snapshots in a chain of diffs, the first complete one included. The store neither publishes nor restores
     * a longer one.
     */
    int LONGEST_CHAIN = 512;

    /** Opens an existing store, and removes unfinished work of dead processes. */
    static SnapshotStore open(Path path, StoreOptions options) throws IOException {
        return DirectoryStore.open(Posix.host(), path, options);
    }

    /** Opens a store; makes one if the path does not exist or is an empty directory. */
    static SnapshotStore openOrCreate(Path path, StoreOptions options) throws IOException {
        return DirectoryStore.openOrCreate(Posix.host(), path, options);
    }

    /**
     * Holds a snapshot and the bases it requires.
     *
     * @throws java.nio.file.NoSuchFileException if there is none of that id
     * @throws io.microsnap.core.DamagedException if its manifest or files are damaged
     * @throws MissingBaseException if a base is gone
     * @throws SnapshotException if it requires a feature that this version does not have
     * @throws SnapshotException if it requires more bases than {@link #LONGEST_CHAIN} allows
     */
    HeldSnapshot hold(SnapshotId id) throws IOException;

    /** Returns every snapshot, sorted by name without regard to case: whole, damaged, or unreadable at present. */
    List<SnapshotEntry> list() throws IOException;

    /** Returns whether the store has a snapshot of this id, whole or damaged, at this moment. */
    boolean contains(SnapshotId id) throws IOException;

    /** Returns the manifest of one snapshot, whatever features it requires and whether or not its base is there. */
    Manifest inspect(SnapshotId id) throws IOException;

    /** Returns whether any process holds a snapshot at this moment. */
    boolean isHeld(SnapshotId id) throws IOException;

    /**
     * Deletes a snapshot, whole or damaged; when this returns, the deletion is durable.
     *
     * @throws java.nio.file.NoSuchFileException if there is none of that id
     * @throws SnapshotRequiredException if another snapshot requires it as its base
     * @throws BusyException if a process uses it, or changes the store for longer than the options allow to wait
     * @throws SnapshotException if another snapshot may require it, for the manifest of that one cannot be read
     */
    void delete(SnapshotId id) throws IOException;

    /**
     * Deletes a snapshot, even if a process uses it or may need it. A process that has its files open keeps them. A
     * diff that needs it is lost if the manifest of that diff cannot be read; a manifest that names it still protects
     * it.
     *
     * @throws java.nio.file.NoSuchFileException if there is none of that id
     * @throws SnapshotRequiredException if another snapshot requires it as its base
     * @throws BusyException if another process changes the store for longer than the options allow to wait
     */
    void deleteForcibly(SnapshotId id) throws IOException;

    /**
     * Deletes this publication as {@link #delete(SnapshotId)} does, but not another one that took its name.
     *
     * @throws java.nio.file.NoSuchFileException if it is gone, or another has its name
     */
    void delete(SnapshotReference reference) throws IOException;

    /**
     * Returns all snapshots that require this one, directly or indirectly, in the order in which they can be deleted:
     * each before its own base.
     */
    List<SnapshotId> dependents(SnapshotId id) throws IOException;

    /**
     * Returns the leftovers of dead processes that opening the store removed; empty if that failed, in which case
     * {@link #gc} reports the failure.
     */
    Recovered recovered();

    /**
     * Removes unfinished work of dead processes, and no snapshot. Opening a store does it too, as far as it can without
     * waiting, but keeps unfinished images that a later pull could go on with. This waits for writers as the
     * options of the store say.
     */
    Recovered gc() throws IOException;

    /**
     * Returns the space that a snapshot takes. The filesystem first allocates blocks for content that is still only in
     * memory.
     */
    SpaceUse space(SnapshotId id) throws IOException;

    /** Returns the pages that guests restored from a snapshot touch first; empty if nothing was recorded. */
    Optional<WorkingSet> workingSet(SnapshotId id) throws IOException;

    /** Removes the recorded working set; returns whether there was one. */
    boolean clearWorkingSet(SnapshotId id) throws IOException;

    /**
     * Copies a snapshot, and first the bases it requires, into another store, where they are the same publications:
     * same uuid, same root. Publications that the other store has already stay as they are. The copies share blocks
     * where both stores lie on one filesystem that can do so. Every copied page is checked against the page index.
     * Returns the copied snapshots.
     *
     * @throws io.microsnap.core.DamagedException if a file is not as it was published; a damaged snapshot is not copied
     * @throws java.nio.file.FileAlreadyExistsException if the other store has another snapshot under one of the ids
     */
    List<SnapshotReference> transfer(SnapshotId id, SnapshotStore to, Progress progress) throws IOException;

    /** As {@link #transfer}, but does not check pages: what is only cloned is not even read. */
    List<SnapshotReference> transferUnchecked(SnapshotId id, SnapshotStore to, Progress progress) throws IOException;

    /** Closes the store. Held snapshots stay usable; publish or close staged ones first. */
    @Override
    void close();
}
