package io.microsnap.store;

import io.microsnap.core.DamagedException;
import io.microsnap.core.Progress;
import io.microsnap.core.SnapshotException;
import io.microsnap.core.SnapshotId;
import io.microsnap.core.SnapshotReference;
import io.microsnap.core.internal.posix.Descriptor;
import io.microsnap.core.internal.posix.Posix;
import java.io.IOException;
import java.lang.foreign.Arena;
import java.lang.foreign.MemorySegment;
import java.nio.ByteBuffer;
import java.nio.file.NoSuchFileException;
import java.nio.file.Path;
import java.util.List;
import java.util.Optional;

/**
 * The directory of snapshots. Any number of processes and threads may use one store: readers never wait; writers of
 * different snapshots exclude each other for the moment of a rename, and wait for that no longer than the options say;
 * whatever dies at whatever moment leaves every snapshot whole or absent.
 *
 * <p>A snapshot is written with {@link #stage} and {@link StagedSnapshot#publish}, and read through {@link #hold}.
 */
public final class SnapshotStore implements AutoCloseable {
    /**
     * The most snapshots in a chain of diffs, the first complete one included. A longer one is neither published nor
     * restored.
     */
    public static final int LONGEST_CHAIN = 512;

    private static final System.Logger LOG = System.getLogger(SnapshotStore.class.getName());

    private final StoreDirectory store;
    private final Recovered recovered;

    private SnapshotStore(StoreDirectory store) {
        this.store = store;
        recovered = recover();
    }

    /** Opens a store; makes one where there is nothing, or an empty directory. */
    public static SnapshotStore openOrCreate(Path path, StoreOptions options) throws IOException {
        return openOrCreate(Posix.host(), path, options);
    }

    /** Opens a store that is there, and removes unfinished work of dead processes. */
    public static SnapshotStore open(Posix posix, Path path, StoreOptions options) throws IOException {
        return new SnapshotStore(StoreDirectory.open(posix, path, options));
    }

    /** Opens a store; makes one where there is nothing, or an empty directory. */
    public static SnapshotStore openOrCreate(Posix posix, Path path, StoreOptions options) throws IOException {
        return new SnapshotStore(StoreDirectory.openOrCreate(posix, path, options));
    }

    private Recovered recover() {
        try {
            // Whoever opens a store may only want to read it: nobody is waited for.
            return recoverStaging(store::tryLock);
        } catch (IOException e) {
            // A store on a read-only filesystem, or of another user, can still be read.
            LOG.log(System.Logger.Level.DEBUG, store.root() + ": unfinished work of dead processes stays", e);
            return Recovered.NOTHING;
        }
    }

    /**
     * Throws if a file under this path would lie in a store, where it would be taken for part of a snapshot: call it
     * before writing what users name.
     */
    public static void requireOutside(Posix posix, Path file) throws IOException {
        Path parent = file.toAbsolutePath().getParent();
        int flags = posix.constants().O_RDONLY | posix.constants().O_DIRECTORY;
        try (Descriptor directory = Descriptor.open(posix, parent == null ? file : parent, flags, 0)) {
            StoreDirectory.requireOutside(directory, file.toString());
        }
    }

    /** Begins a snapshot: out of sight until it is published. */
    public StagedSnapshot stage(SnapshotId id) throws IOException {
        return new StagedSnapshot(store, id);
    }

    /**
     * Takes a snapshot into use, with the bases it requires.
     *
     * @throws java.nio.file.NoSuchFileException if there is none of that id
     * @throws io.microsnap.core.DamagedException if its manifest or files are not what they should be
     * @throws MissingBaseException if a base is gone
     * @throws SnapshotException if it requires a feature that this version does not have
     * @throws ChainTooLongException if it requires more bases than {@link #LONGEST_CHAIN} allows
     */
    public HeldSnapshot hold(SnapshotId id) throws IOException {
        return HeldSnapshot.hold(store, id);
    }

    /**
     * Every snapshot, sorted by name without regard to case: whole, damaged, or not to be read at present.
     */
    public List<SnapshotEntry> list() throws IOException {
        return Listing.entries(store);
    }

    /** Returns whether the store has a snapshot of this id, whole or damaged; a moment later it may be otherwise. */
    public boolean contains(SnapshotId id) throws IOException {
        try (Descriptor _ = store.openSnapshot(id)) {
            return true;
        } catch (NoSuchFileException free) {
            return false;
        }
    }

    /** The manifest of one snapshot, whatever features it requires and whether or not its base is there. */
    public Manifest inspect(SnapshotId id) throws IOException {
        try (Descriptor snapshot = store.openSnapshot(id)) {
            try {
                return StoreDirectory.manifest(snapshot, id.key());
            } catch (DamagedException failure) {
                if (StagingArea.isNamed(store.root(), id.key(), snapshot)) {
                    throw failure;
                }
            }
        }
        // Deleted or replaced under our eyes, it is not damaged.
        return inspect(id);
    }

    /** Whether anybody holds a snapshot at this moment; a moment later it may be otherwise. */
    public boolean isHeld(SnapshotId id) throws IOException {
        try (Descriptor snapshot = store.openSnapshot(id)) {
            return !snapshot.tryLock(true);
        }
    }

    /** Deletes a snapshot that nobody uses; when this returns, durably. */
    public void delete(SnapshotId id) throws IOException {
        delete(id, IfHeld.REFUSE);
    }

    /**
     * Deletes a snapshot, whole or damaged; when this returns, durably.
     *
     * @throws java.nio.file.NoSuchFileException if there is none of that id
     * @throws SnapshotRequiredException if another snapshot requires it as its base
     * @throws DependentsUnknownException if another one may, for its manifest cannot be read; not if it is forced
     * @throws SnapshotInUseException if somebody uses it and it is not forced
     * @throws StoreBusyException if another process changes the store for longer than is to be waited for
     */
    public void delete(SnapshotId id, IfHeld ifHeld) throws IOException {
        Publication.delete(store, id, Optional.empty(), ifHeld);
    }

    /**
     * Deletes this publication, and none that took its name, as {@link #delete(SnapshotId)} does.
     *
     * @throws java.nio.file.NoSuchFileException if it is gone, or another has its name
     */
    public void delete(SnapshotReference reference) throws IOException {
        Publication.delete(store, reference.id(), Optional.of(reference), IfHeld.REFUSE);
    }

    /**
     * All snapshots that require one, directly or through others: each before the one that it requires itself, which is
     * an order to delete them in.
     */
    public List<SnapshotId> dependents(SnapshotId id) throws IOException {
        return Listing.dependents(store, id);
    }

    /** What opening the store removed of dead processes; nothing if that failed, which {@link #gc} then tells. */
    public Recovered recovered() {
        return recovered;
    }

    /**
     * Removes unfinished work of dead processes, and no snapshot. Opening a store does it too, as far as it can without
     * waiting, but keeps unfinished images that a later pull could go on with. This waits for writers as the
     * {@link LockWait} of the store's options says.
     */
    public Recovered gc() throws IOException {
        Recovered staged = recoverStaging(() -> Optional.of(store.lock()));
        Recovered partial = PartialImage.removeLeftovers(store.root());
        return new Recovered(staged.removed() + partial.removed(), staged.freedBytes() + partial.freedBytes(),
                staged.alive() + partial.alive());
    }

    /**
     * Opens the unfinished image of this name, or makes an empty one. It outlives this process until it is adopted by
     * {@link StagedSnapshot#adopt} or removed by {@link #gc}.
     *
     * @param name 64 lower-case hex digits that stand for what the image is to hold
     * @throws SnapshotException if another process works on it
     */
    public PartialImage partialImage(String name) throws IOException {
        return PartialImage.open(store, name);
    }

    private Recovered recoverStaging(StagingArea.Locking locking) throws IOException {
        if (store.staging().isEmpty()) {
            return Recovered.NOTHING;
        }
        StoreEvents.Recovery event = StoreEvents.recovery();
        Recovered recovered = store.staging().recover(locking);
        event.end(store, recovered);
        return recovered;
    }

    /** Begins a hint, such as {@link SnapshotFiles#WORKING_SET}, for a snapshot that stays held meanwhile. */
    public StagedReplacement stageHint(HeldSnapshot held, String name) throws IOException {
        if (!SnapshotFiles.HINTS.contains(name)) {
            throw new IllegalArgumentException("'" + Printable.of(name) + "' is no hint; there are "
                    + SnapshotFiles.HINTS);
        }
        return StagedReplacement.of(store, held, name, Optional.empty());
    }

    /** Adds a hint to a snapshot, or replaces it. */
    public void addHint(SnapshotId id, String name, ByteBuffer content) throws IOException {
        try (HeldSnapshot held = hold(id); StagedReplacement hint = stageHint(held, name);
                Arena arena = Arena.ofConfined()) {
            MemorySegment bytes = arena.allocate(Math.max(1, content.remaining()));
            MemorySegment.copy(MemorySegment.ofBuffer(content), 0, bytes, 0, content.remaining());
            hint.descriptor().writeFully(bytes.asSlice(0, content.remaining()), 0);
            hint.commit();
        }
    }

    /**
     * Begins an image that is to take the place of an identical one, such as one that shares more blocks. It starts as
     * a clone of the source, where the filesystem can, and empty otherwise. Whoever commits it has made sure that
     * every byte is the same.
     */
    public StagedReplacement stageImage(HeldSnapshot held, Descriptor source) throws IOException {
        return StagedReplacement.of(store, held, SnapshotFiles.MEMORY, Optional.of(source));
    }

    /** What a snapshot takes. What is still only in memory is given its place on disk first. */
    public SpaceUse space(SnapshotId id) throws IOException {
        try (Descriptor snapshot = store.openSnapshot(id)) {
            return Space.of(snapshot);
        }
    }

    /**
     * Copies a snapshot, and first the bases it requires, into another store, where they are the same publications:
     * same uuid, same root. What is there already stays. Blocks are shared where both stores lie on one filesystem
     * that can. Every page that is copied is held against the page index. Returns what was copied.
     *
     * @throws io.microsnap.core.DamagedException if something is not what was published; what is damaged is not copied
     * @throws java.nio.file.FileAlreadyExistsException if the other store has another snapshot under one of the ids
     */
    public List<SnapshotReference> transfer(SnapshotId id, SnapshotStore to, Progress progress) throws IOException {
        return transfer(id, to, PageVerification.EVERY_PAGE, progress);
    }

    /** As {@link #transfer(SnapshotId, SnapshotStore, Progress)}; leaves the pages unchecked where that is asked. */
    public List<SnapshotReference> transfer(SnapshotId id, SnapshotStore to, PageVerification verification,
            Progress progress) throws IOException {
        try (HeldSnapshot held = hold(id)) {
            return new Transfer(to, verification, progress).copy(held);
        }
    }

    StoreDirectory directory() {
        return store;
    }

    /** Closes the store. What is held stays usable; what is staged has to be published or closed before. */
    @Override
    public void close() {
        store.close();
    }

    @Override
    public String toString() {
        return store.root().name();
    }
}
