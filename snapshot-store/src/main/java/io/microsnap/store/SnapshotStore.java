package io.microsnap.store;

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
 * different snapshots exclude each other for the moment of a rename, and wait for that no longer than the options say;
 * a process that dies at any moment leaves every snapshot whole or absent.
 *
 * <p>Captures write snapshots into a store, restores read them; both are in {@code io.microsnap.memory}.
 */
public sealed interface SnapshotStore extends AutoCloseable permits DirectoryStore {
    /**
     * The most snapshots in a chain of diffs, the first complete one included. A longer one is neither published nor
     * restored.
     */
    int LONGEST_CHAIN = 512;

    /** Opens a store that is there, and removes unfinished work of dead processes. */
    static SnapshotStore open(Path path, StoreOptions options) throws IOException {
        return DirectoryStore.open(Posix.host(), path, options);
    }

    /** Opens a store; makes one where there is nothing, or an empty directory. */
    static SnapshotStore openOrCreate(Path path, StoreOptions options) throws IOException {
        return DirectoryStore.openOrCreate(Posix.host(), path, options);
    }

    /**
     * Takes a snapshot into use, with the bases it requires.
     *
     * @throws java.nio.file.NoSuchFileException if there is none of that id
     * @throws io.microsnap.core.DamagedException if its manifest or files are not what they should be
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

    /** Returns whether anybody holds a snapshot at this moment. */
    boolean isHeld(SnapshotId id) throws IOException;

    /**
     * Deletes a snapshot, whole or damaged; when this returns, durably.
     *
     * @throws java.nio.file.NoSuchFileException if there is none of that id
     * @throws SnapshotRequiredException if another snapshot requires it as its base
     * @throws SnapshotInUseException if somebody uses it
     * @throws SnapshotException if another snapshot may require it, for the manifest of that one cannot be read
     * @throws StoreBusyException if another process changes the store for longer than the options allow to wait
     */
    void delete(SnapshotId id) throws IOException;

    /**
     * Deletes a snapshot, even if somebody uses it or may need it. A process that has its files open keeps them. A diff
     * that needs it is lost if the manifest of that diff cannot be read; a manifest that names it still protects it.
     *
     * @throws java.nio.file.NoSuchFileException if there is none of that id
     * @throws SnapshotRequiredException if another snapshot requires it as its base
     * @throws StoreBusyException if another process changes the store for longer than the options allow to wait
     */
    void deleteForcibly(SnapshotId id) throws IOException;

    /**
     * Deletes this publication, and none that took its name, as {@link #delete(SnapshotId)} does.
     *
     * @throws java.nio.file.NoSuchFileException if it is gone, or another has its name
     */
    void delete(SnapshotReference reference) throws IOException;

    /**
     * Returns all snapshots that require one, directly or through others: each before the one that it requires itself,
     * which is an order to delete them in.
     */
    List<SnapshotId> dependents(SnapshotId id) throws IOException;

    /** Returns what opening the store removed of dead processes; nothing if that failed, which {@link #gc} reports. */
    Recovered recovered();

    /**
     * Removes unfinished work of dead processes, and no snapshot. Opening a store does it too, as far as it can without
     * waiting, but keeps unfinished images that a later pull could go on with. This waits for writers as the
     * options of the store say.
     */
    Recovered gc() throws IOException;

    /** Returns what a snapshot takes. What is still only in memory is given its place on disk first. */
    SpaceUse space(SnapshotId id) throws IOException;

    /** Returns what is known of the pages that guests restored from a snapshot touch; empty where that is nothing. */
    Optional<WorkingSet> workingSet(SnapshotId id) throws IOException;

    /** Forgets which pages restored guests touch; says whether anything was known. */
    boolean clearWorkingSet(SnapshotId id) throws IOException;

    /**
     * Copies a snapshot, and first the bases it requires, into another store, where they are the same publications:
     * same uuid, same root. What is there already stays. Blocks are shared where both stores lie on one filesystem
     * that can. Every page that is copied is held against the page index. Returns what was copied.
     *
     * @throws io.microsnap.core.DamagedException if something is not what was published; what is damaged is not copied
     * @throws java.nio.file.FileAlreadyExistsException if the other store has another snapshot under one of the ids
     */
    List<SnapshotReference> transfer(SnapshotId id, SnapshotStore to, Progress progress) throws IOException;

    /** As {@link #transfer}, but does not check pages: what is only cloned is not even read. */
    List<SnapshotReference> transferUnchecked(SnapshotId id, SnapshotStore to, Progress progress) throws IOException;

    /** Closes the store. What is held stays usable; what is staged has to be published or closed before. */
    @Override
    void close();
}
