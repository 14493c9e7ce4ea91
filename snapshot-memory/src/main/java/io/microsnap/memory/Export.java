package io.microsnap.memory;

import io.microsnap.core.IfExists;
import io.microsnap.core.IoMode;
import io.microsnap.core.Progress;
import io.microsnap.core.SnapshotException;
import io.microsnap.core.SnapshotId;
import io.microsnap.core.internal.file.Durability;
import io.microsnap.core.internal.file.FileCopy;
import io.microsnap.core.internal.file.Reflink;
import io.microsnap.core.internal.file.StagedFile;
import io.microsnap.core.internal.file.StorageFile;
import io.microsnap.core.internal.file.StorageOptions;
import io.microsnap.core.internal.posix.Descriptor;
import io.microsnap.core.internal.posix.Posix;
import io.microsnap.memory.internal.image.ComposedImage;
import io.microsnap.memory.internal.image.Composition;
import io.microsnap.memory.internal.image.OpenedImage;
import io.microsnap.store.HeldSnapshot;
import io.microsnap.store.Manifest;
import io.microsnap.store.SnapshotStore;
import io.microsnap.store.internal.DirectoryStore;
import io.microsnap.store.internal.PageChecks;
import io.microsnap.store.internal.PageIndex;
import io.microsnap.store.internal.SnapshotDescription;
import io.microsnap.store.internal.SnapshotFile;
import io.microsnap.store.internal.SnapshotFiles;
import io.microsnap.store.internal.SnapshotKind;
import io.microsnap.store.internal.StagedSnapshot;
import io.microsnap.store.internal.StoredSnapshot;
import java.io.IOException;
import java.nio.file.FileAlreadyExistsException;
import java.nio.file.Path;
import java.util.Objects;
import java.util.Optional;

/**
 * Exports memory from a store, or from a chain of diffs: as a plain file that any VMM reads, or as a snapshot that
 * needs no base. Blocks are shared where the filesystem can, and holes stay holes. Every page is checked against the
 * page index before it is written: a bad one causes a {@link io.microsnap.core.DamagedException}, and no output
 * appears. {@link #compact} needs no output of its own: it makes a snapshot complete where it is.
 */
public final class Export {
    private static final System.Logger LOG = System.getLogger(Export.class.getName());

    private final StoredSnapshot snapshot;
    private boolean checked = true;
    private int threads = 1;
    private IoMode io = IoMode.CACHED;
    private Progress progress = Progress.NONE;

    private Export(StoredSnapshot snapshot) {
        this.snapshot = Objects.requireNonNull(snapshot);
    }

    /** Begins an export of a snapshot, which the caller keeps held. */
    public static Export of(HeldSnapshot snapshot) {
        return new Export((StoredSnapshot) snapshot);
    }

    /** Leaves out the check, so that cloned pages need not be read. */
    public Export unchecked() {
        checked = false;
        return this;
    }

    /** Sets the most threads that may work; the default is one. */
    public Export threads(int most) {
        if (most < 1) {
            throw new IllegalArgumentException(most + " threads");
        }
        threads = most;
        return this;
    }

    /** Sets which way memory is read and written; the default is through the page cache. */
    public Export io(IoMode mode) {
        io = Objects.requireNonNull(mode);
        return this;
    }

    /** Sets the listener for progress, which may stop the export. */
    public Export progress(Progress listener) {
        progress = Objects.requireNonNull(listener);
        return this;
    }

    /** Writes the guest's memory as one file, durable, whole or not at all. Returns whether it shares blocks. */
    public boolean toFile(Path file, IfExists ifExists) throws IOException {
        return toFile(snapshot.image().posix(), file, ifExists);
    }

    /** As above, with another system-call interface, for tests. */
    boolean toFile(Posix posix, Path file, IfExists ifExists) throws IOException {
        DirectoryStore.requireOutside(posix, file);
        ComposedImage composed = BaseChain.compose(snapshot);
        Descriptor last = composed.layers().getLast().image();
        try (OpenedImage source = OpenedImage.of(composed, io); StagedFile staged = StagedFile.create(posix, file)) {
            boolean cloned = new Reflink().cloneInto(last, staged).isCloned();
            Optional<PageChecks> checks = checks();
            try (StorageFile target = StorageFile.over(staged.descriptor(), StorageOptions.WRITE.with(io))) {
                if (cloned) {
                    Composition.intoCloneOfBase(source.image(), target, checks, inFlight(), progress);
                } else {
                    Composition.intoEmpty(source.image(), target, checks, inFlight(), progress);
                }
            }
            requireWhole(checks);
            staged.commit(Durability.FULL, ifExists);
            return cloned;
        }
    }

    /**
     * Writes the guest's memory durably to the start of a block device that is not in use: every byte of it, zeros too.
     * The device's former content there is lost even if this fails; content after the memory stays.
     *
     * @return how many bytes the device has after the memory
     */
    public long toDevice(Path device, IfExists ifExists) throws IOException {
        Posix posix = snapshot.image().posix();
        long lengthBytes = snapshot.layout().lengthBytes();
        if (ifExists == IfExists.REFUSE) {
            throw new FileAlreadyExistsException(device.toString(), null,
                    "a block device always holds something; say that it may be replaced");
        }
        try (OpenedImage source = OpenedImage.of(BaseChain.compose(snapshot), io);
                StorageFile target = StorageFile.open(posix, device, StorageOptions.WRITE.with(io))) {
            if (!target.isDevice()) {
                throw new SnapshotException(device + " is not a block device");
            }
            if (target.sizeBytes() < lengthBytes) {
                throw new SnapshotException(device + " has " + target.sizeBytes() + " bytes, and the memory of "
                        + snapshot.id() + " has " + lengthBytes + "; nothing was written: use a larger device");
            }
            Optional<PageChecks> checks = checks();
            Composition.ontoDevice(source.image(), target, checks, inFlight(), progress);
            requireWhole(checks);
            target.sync();
            return target.sizeBytes() - lengthBytes;
        }
    }

    /** Returns how many requests to keep in flight: a device that gets one request at a time is idle in between. */
    private int inFlight() {
        return io == IoMode.DIRECT ? Math.max(2, threads) : threads;
    }

    /** Writes an attachment as a file, durable, whole or not at all, and always checked. */
    public void attachmentToFile(String name, Path file, IfExists ifExists) throws IOException {
        Posix posix = snapshot.image().posix();
        DirectoryStore.requireOutside(posix, file);
        String listed = SnapshotFiles.attachment(name);
        Descriptor source = snapshot.open(listed);
        try (StagedFile staged = StagedFile.create(posix, file)) {
            if (!new Reflink().cloneInto(source, staged).isCloned()) {
                FileCopy.fill(source, staged.descriptor(), progress);
            }
            snapshot.requireDigest(listed, staged.descriptor());
            staged.commit(Durability.FULL, ifExists);
        }
    }

    /**
     * Publishes a snapshot of the same machine at the same moment that needs no base, with the same state, attachments,
     * labels and parent.
     */
    public Manifest toSnapshot(SnapshotStore store, SnapshotId flat, IfExists ifExists) throws IOException {
        try (StagedSnapshot staged = DirectoryStore.of(store).stage(flat)) {
            fill(staged, checks());
            return staged.publish(description(), ifExists);
        }
    }

    /**
     * Makes a snapshot of a chain complete in place, so that the bases it needed may be deleted. This is durable and
     * atomic: a process that dies leaves the snapshot as it was or complete. It stays the same publication with the
     * same bytes, which are checked meanwhile; snapshots that require it and processes that use it are not affected.
     * Returns whether there was anything to do: a snapshot that needs no base is complete already.
     *
     * @throws java.nio.file.NoSuchFileException if there is none of that id, or it was deleted or replaced meanwhile
     * @throws io.microsnap.core.DamagedException if it or one of its bases is damaged; it stays as it is
     */
    public static boolean compact(SnapshotStore store, SnapshotId id, int threads, Progress progress)
            throws IOException {
        DirectoryStore directory = DirectoryStore.of(store);
        try (StoredSnapshot held = directory.hold(id)) {
            if (BaseChain.isComplete(held)) {
                return false;
            }
            of(held).threads(threads).progress(progress).inPlace(directory);
        }
        removeFormer(directory);
        return true;
    }

    /** Always checks pages, because the bases, from which it could be made again, may be deleted next. */
    private void inPlace(DirectoryStore store) throws IOException {
        try (StagedSnapshot staged = store.stage(snapshot.id())) {
            fill(staged, Optional.of(new PageChecks(snapshot.pageIndex())));
            staged.publishInPlaceOf(snapshot, description());
        }
    }

    /** Removes the former image from the staging area. It is not an error if it cannot be removed yet. */
    private static void removeFormer(DirectoryStore store) {
        try {
            store.gc();
        } catch (IOException later) {
            LOG.log(System.Logger.Level.DEBUG, store + ": a former image takes space until the next recovery", later);
        }
    }

    private void fill(StagedSnapshot staged, Optional<PageChecks> checks) throws IOException {
        staged.takeWorkingSetOf(snapshot);
        ComposedImage composed = BaseChain.compose(snapshot);
        Descriptor last = composed.layers().getLast().image();
        boolean cloned = staged.clone(SnapshotFiles.MEMORY, last).isCloned();
        Descriptor image = cloned ? staged.file(SnapshotFiles.MEMORY) : staged.create(SnapshotFiles.MEMORY);
        try (StorageFile target = StorageFile.over(image, StorageOptions.WRITE)) {
            if (cloned) {
                Composition.intoCloneOfBase(composed, target, checks, threads, progress);
            } else {
                Composition.intoEmpty(composed, target, checks, threads, progress);
            }
        }
        requireWhole(checks);
        // The index already covers the composed guest.
        try (PageIndex index = PageIndex.createFrom(snapshot.pageIndex(), staged.create(SnapshotFiles.PAGE_INDEX))) {
            index.finish();
        }
        for (SnapshotFile file : snapshot.manifest().files()) {
            boolean memory = file.name().equals(SnapshotFiles.MEMORY)
                    || file.name().equals(SnapshotFiles.PAGE_INDEX) || file.name().equals(SnapshotFiles.PAGE_MAP);
            if (!memory) {
                staged.copy(file.name(), snapshot, Progress.NONE);
            }
        }
    }

    private SnapshotDescription description() {
        SnapshotDescription description = snapshot.manifest().description();
        return new SnapshotDescription(SnapshotKind.FULL, description.layout(), description.parent(),
                Optional.empty(), description.image(), description.bakedByVersion(), description.labels(),
                description.requires());
    }

    private Optional<PageChecks> checks() throws IOException {
        return checked ? Optional.of(new PageChecks(snapshot.pageIndex())) : Optional.empty();
    }

    private void requireWhole(Optional<PageChecks> checks) throws IOException {
        if (checks.isPresent()) {
            Verification.result(snapshot, checks.get()).requireWhole();
        }
    }
}
