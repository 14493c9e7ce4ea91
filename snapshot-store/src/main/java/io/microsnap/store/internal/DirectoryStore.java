package io.microsnap.store.internal;

import io.microsnap.core.DamagedException;
import io.microsnap.core.Progress;
import io.microsnap.core.SnapshotException;
import io.microsnap.core.SnapshotId;
import io.microsnap.core.SnapshotReference;
import io.microsnap.core.internal.posix.Descriptor;
import io.microsnap.core.internal.posix.Posix;
import io.microsnap.store.Recovered;
import io.microsnap.store.SnapshotEntry;
import io.microsnap.store.SnapshotStore;
import io.microsnap.store.SpaceUse;
import io.microsnap.store.StoreOptions;
import io.microsnap.store.WorkingSet;
import java.io.IOException;
import java.lang.foreign.Arena;
import java.lang.foreign.MemorySegment;
import java.nio.ByteBuffer;
import java.nio.file.NoSuchFileException;
import java.nio.file.Path;
import java.util.List;
import java.util.Optional;

/**
 * The store as this library writes and reads it. A snapshot is written with {@link #stage} and
 * {@link StagedSnapshot#publish}, and read through {@link #hold}.
 */
public final class DirectoryStore implements SnapshotStore {
    private static final System.Logger LOG = System.getLogger(DirectoryStore.class.getName());

    private final StoreDirectory store;
    private final Recovered recovered;

    private DirectoryStore(StoreDirectory store) {
        this.store = store;
        recovered = recover();
    }

    /** Returns the implementation of a store: there is no other kind. */
    public static DirectoryStore of(SnapshotStore store) {
        return (DirectoryStore) store;
    }

    /** Returns the system-call interface that the store uses. */
    public Posix posix() {
        return store.root().posix();
    }

    /** Opens an existing store, and removes unfinished work of dead processes. */
    public static DirectoryStore open(Posix posix, Path path, StoreOptions options) throws IOException {
        return new DirectoryStore(StoreDirectory.open(posix, path, options));
    }

    /** Opens a store; makes one if the path does not exist or is an empty directory. */
    public static DirectoryStore openOrCreate(Posix posix, Path path, StoreOptions options) throws IOException {
        return new DirectoryStore(StoreDirectory.openOrCreate(posix, path, options));
    }

    private Recovered recover() {
        try {
            // The caller may only want to read the store: do not wait for other processes.
            return recoverStaging(store::tryLock);
        } catch (IOException e) {
            // Recovery fails on a read-only filesystem or in another user's store; both can still be read.
            LOG.log(System.Logger.Level.DEBUG, store.root() + ": unfinished work of dead processes stays", e);
            return Recovered.NOTHING;
        }
    }

    /**
     * Throws if a file under this path would lie in a store, which would take it for part of a snapshot. Call it before
     * writing a file that a user named.
     */
    public static void requireOutside(Posix posix, Path file) throws IOException {
        Path parent = file.toAbsolutePath().getParent();
        int flags = posix.constants().O_RDONLY | posix.constants().O_DIRECTORY;
        try (Descriptor directory = Descriptor.open(posix, parent == null ? file : parent, flags, 0)) {
            StoreDirectory.requireOutside(directory, file.toString());
        }
    }

    /** Begins a snapshot, which stays invisible until it is published. */
    public StagedSnapshot stage(SnapshotId id) throws IOException {
        return new StagedSnapshot(store, id);
    }

    @Override
    public StoredSnapshot hold(SnapshotId id) throws IOException {
        return StoredSnapshot.hold(store, id);
    }

    @Override
    public List<SnapshotEntry> list() throws IOException {
        return Listing.entries(store);
    }

    @Override
    public boolean contains(SnapshotId id) throws IOException {
        try (Descriptor _ = store.openSnapshot(id)) {
            return true;
        } catch (NoSuchFileException free) {
            return false;
        }
    }

    @Override
    public StoredManifest inspect(SnapshotId id) throws IOException {
        try (Descriptor snapshot = store.openSnapshot(id)) {
            try {
                return StoreDirectory.manifest(snapshot, id.key());
            } catch (DamagedException failure) {
                if (StagingArea.isNamed(store.root(), id.key(), snapshot)) {
                    throw failure;
                }
            }
        }
        // A snapshot that was deleted or replaced meanwhile is not damaged.
        return inspect(id);
    }

    @Override
    public boolean isHeld(SnapshotId id) throws IOException {
        try (Descriptor snapshot = store.openSnapshot(id)) {
            return !snapshot.tryLock(true);
        }
    }

    @Override
    public void delete(SnapshotId id) throws IOException {
        Publication.delete(store, id, Optional.empty(), Publication.Force.NONE);
    }

    @Override
    public void deleteForcibly(SnapshotId id) throws IOException {
        Publication.delete(store, id, Optional.empty(), Publication.Force.FULL);
    }

    @Override
    public void delete(SnapshotReference reference) throws IOException {
        Publication.delete(store, reference.id(), Optional.of(reference), Publication.Force.NONE);
    }

    @Override
    public List<SnapshotId> dependents(SnapshotId id) throws IOException {
        return Listing.dependents(store, id);
    }

    @Override
    public Recovered recovered() {
        return recovered;
    }

    @Override
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
     * @param name 64 lower-case hex digits that identify the image's content
     * @throws SnapshotException if another process is working on it
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

    /** Begins a hint, such as {@link SnapshotFiles#WORKING_SET}, for a snapshot. The caller keeps the snapshot held. */
    public StagedReplacement stageHint(StoredSnapshot held, String name) throws IOException {
        if (!SnapshotFiles.HINTS.contains(name)) {
            throw new IllegalArgumentException("'" + Printable.of(name) + "' is not a hint; the hints are "
                    + SnapshotFiles.HINTS);
        }
        return StagedReplacement.ofHint(store, held, name, StagedReplacement.Expected.ANYTHING);
    }

    /** Adds a hint to a snapshot, or replaces it. */
    public void addHint(SnapshotId id, String name, ByteBuffer content) throws IOException {
        try (StoredSnapshot held = hold(id); StagedReplacement hint = stageHint(held, name);
                Arena arena = Arena.ofConfined()) {
            MemorySegment bytes = arena.allocate(Math.max(1, content.remaining()));
            MemorySegment.copy(MemorySegment.ofBuffer(content), 0, bytes, 0, content.remaining());
            hint.descriptor().writeFully(bytes.asSlice(0, content.remaining()), 0);
            hint.commit();
        }
    }

    @Override
    public Optional<WorkingSet> workingSet(SnapshotId id) throws IOException {
        try (StoredSnapshot held = hold(id)) {
            return held.describedWorkingSet();
        }
    }

    @Override
    public boolean clearWorkingSet(SnapshotId id) throws IOException {
        try (StoredSnapshot held = hold(id)) {
            return new WorkingSetRecorder(store, held).clear();
        }
    }

    /**
     * Begins an image that will replace an identical one, such as one that shares more blocks. It starts as a clone of
     * the source if the filesystem can clone, and empty otherwise. Before the caller commits it, it must make sure that
     * every byte is the same.
     */
    public StagedReplacement stageImage(StoredSnapshot held, Descriptor source) throws IOException {
        return StagedReplacement.ofImage(store, held, source);
    }

    @Override
    public SpaceUse space(SnapshotId id) throws IOException {
        try (Descriptor snapshot = store.openSnapshot(id)) {
            return SpaceCounter.of(snapshot);
        }
    }

    @Override
    public List<SnapshotReference> transfer(SnapshotId id, SnapshotStore to, Progress progress) throws IOException {
        return transfer(id, to, PageVerification.EVERY_PAGE, progress);
    }

    @Override
    public List<SnapshotReference> transferUnchecked(SnapshotId id, SnapshotStore to, Progress progress)
            throws IOException {
        return transfer(id, to, PageVerification.NONE, progress);
    }

    private List<SnapshotReference> transfer(SnapshotId id, SnapshotStore to, PageVerification verification,
            Progress progress) throws IOException {
        try (StoredSnapshot held = hold(id)) {
            return new Transfer(of(to), verification, progress).copy(held);
        }
    }

    StoreDirectory directory() {
        return store;
    }

    @Override
    public void close() {
        store.close();
    }

    @Override
    public String toString() {
        return store.root().name();
    }
}
