package io.microsnap.store.internal;

import io.microsnap.core.BusyException;
import io.microsnap.core.DamagedException;
import io.microsnap.core.GuestLayout;
import io.microsnap.core.SnapshotException;
import io.microsnap.core.SnapshotId;
import io.microsnap.core.SnapshotReference;
import io.microsnap.core.internal.posix.Constants;
import io.microsnap.core.internal.posix.Descriptor;
import io.microsnap.core.internal.work.Closing;
import io.microsnap.store.HeldSnapshot;
import io.microsnap.store.MissingBaseException;
import io.microsnap.store.SnapshotStore;
import io.microsnap.store.WorkingSet;
import java.io.Closeable;
import java.io.IOException;
import java.nio.file.NoSuchFileException;
import java.util.LinkedHashSet;
import java.util.Optional;
import java.util.Set;
import java.util.concurrent.atomic.AtomicBoolean;
import java.util.concurrent.locks.LockSupport;

/**
 * A snapshot in use, with the bases it requires. Until this is closed, no process deletes or replaces any of them
 * except by force, and even then the files open here stay readable. Holding never waits.
 *
 * <p>Its files are open for reading. Any thread may call its methods; close it when no thread uses it.
 */
public final class StoredSnapshot implements HeldSnapshot {
    private static final System.Logger LOG = System.getLogger(DirectoryStore.class.getName());
    private static final int ATTEMPTS = 20_000;
    private static final long MOMENT_NANOS = 50_000;

    private final StoreDirectory store;
    private final Descriptor directory;
    private final StoredManifest manifest;
    private final Descriptor image;
    private final Optional<StoredSnapshot> base;
    private PageIndex pageIndex;
    private PageMap pageMap;
    private Optional<WorkingSetMap> workingSet = Optional.empty();
    private boolean workingSetSought;
    private int users;
    private boolean closed;
    private final Closing closing;

    private StoredSnapshot(StoreDirectory store, Descriptor directory, StoredManifest manifest, Descriptor image,
            Optional<StoredSnapshot> base, Closing closing) {
        this.store = store;
        this.directory = directory;
        this.manifest = manifest;
        this.image = image;
        this.base = base;
        this.closing = closing;
        closing.add(directory);
    }

    static StoredSnapshot hold(StoreDirectory store, SnapshotId id) throws IOException {
        return hold(store, id, new LinkedHashSet<>());
    }

    private static StoredSnapshot hold(StoreDirectory store, SnapshotId id, Set<String> chain) throws IOException {
        for (int attempt = 0; attempt < ATTEMPTS; attempt++) {
            Descriptor directory = store.openSnapshot(id);
            try {
                if (directory.tryLock(false) && StagingArea.isNamed(store.root(), id.key(), directory)) {
                    return hold(store, id, directory, chain);
                }
            } catch (Throwable failure) {
                try (directory) {
                    if (isStillThere(store, id, directory, failure)) {
                        throw failure;
                    }
                }
                continue;
            }
            directory.close();
            // Another process is between locking it and renaming it away: that takes a moment, not as long as the
            // removal.
            LockSupport.parkNanos(MOMENT_NANOS);
        }
        throw new BusyException(id + " is being deleted or replaced: another process has been doing so for too long;"
                + " retry");
    }

    private static StoredSnapshot hold(StoreDirectory store, SnapshotId id, Descriptor directory, Set<String> chain)
            throws IOException {
        StoredManifest manifest = StoreDirectory.manifest(directory, id.key());
        Set<String> longer = new LinkedHashSet<>(chain);
        if (!longer.add(id.key())) {
            throw new DamagedException(directory + ": its bases require each other in a circle");
        }
        if (longer.size() > SnapshotStore.LONGEST_CHAIN) {
            throw new ChainTooLongException(new SnapshotId(longer.iterator().next()));
        }
        if (!manifest.unknownFeatures().isEmpty()) {
            throw new SnapshotException(id + " requires " + String.join(", ", manifest.unknownFeatures())
                    + ", which this version does not have; a newer version may restore it");
        }
        StoreDirectory.requireFiles(directory, manifest);
        // The constructor adds the directory last: until then the caller closes it.
        Closing closing = new Closing();
        try {
            Descriptor image = closing.add(
                    StoreDirectory.openFile(directory, SnapshotFiles.MEMORY, manifest.layout().lengthBytes()));
            Optional<StoredSnapshot> base = Optional.empty();
            if (manifest.requiredBase().isPresent()) {
                StoredSnapshot held = closing.add(holdBase(store, manifest, manifest.requiredBase().get(), longer));
                base = Optional.of(held);
            }
            return new StoredSnapshot(store, directory, manifest, image, base, closing);
        } catch (Throwable failure) {
            closing.closeAfter(failure);
            throw failure;
        }
    }

    /**
     * Returns whether the snapshot still exists, so that the failure has another reason than its removal; true if in
     * doubt.
     */
    private static boolean isStillThere(StoreDirectory store, SnapshotId id, Descriptor directory, Throwable failure) {
        try {
            return StagingArea.isNamed(store.root(), id.key(), directory);
        } catch (IOException unknown) {
            failure.addSuppressed(unknown);
            return true;
        }
    }

    private static StoredSnapshot holdBase(StoreDirectory store, StoredManifest manifest, SnapshotReference base,
            Set<String> chain) throws IOException {
        StoredSnapshot held;
        try {
            held = hold(store, base.id(), chain);
        } catch (NoSuchFileException e) {
            throw new MissingBaseException(manifest.id().name(), base, "which is not there");
        }
        if (!held.reference().equals(base)) {
            held.close();
            throw new MissingBaseException(manifest.id().name(), base, "but the store has " + held.reference());
        }
        return held;
    }

    @Override
    public StoredManifest manifest() {
        return manifest;
    }

    /** Names this publication. */
    @Override
    public SnapshotReference reference() {
        return manifest.reference();
    }

    @Override
    public SnapshotId id() {
        return manifest.id();
    }

    @Override
    public GuestLayout layout() {
        return manifest.layout();
    }

    /** Returns the image, open for reading; this object closes it. */
    public Descriptor image() {
        return image;
    }

    /** Returns the base if this snapshot's image needs it. */
    public Optional<StoredSnapshot> base() {
        return base;
    }

    /** Returns the number of snapshots that together have all pages: this one and the bases it requires. */
    public int chainLength() {
        int length = 1;
        for (Optional<StoredSnapshot> at = base; at.isPresent(); at = at.get().base) {
            length++;
        }
        return length;
    }

    /** Returns the page index of the composed guest. Its root is the one in the manifest. */
    public synchronized PageIndex pageIndex() throws IOException {
        if (pageIndex == null) {
            Descriptor file = open(SnapshotFiles.PAGE_INDEX);
            PageIndex opened = PageIndex.open(file, layout());
            pageIndex = closing.add(Closing.readyOrClosed(
                    opened, () -> requireRoot(file, opened.root(), manifest.indexRoot())));
        }
        return pageIndex;
    }

    /** Returns the page map, where the image was cloned from a base or needs one. */
    public synchronized Optional<PageMap> pageMap() throws IOException {
        Optional<SnapshotFile> listed = manifest.file(SnapshotFiles.PAGE_MAP);
        if (pageMap == null && listed.isPresent()) {
            Descriptor file = open(SnapshotFiles.PAGE_MAP);
            PageMap opened = PageMap.open(file, layout());
            pageMap = closing.add(
                    Closing.readyOrClosed(opened, () -> requireRoot(file, opened.root(), listed.get().root())));
        }
        return Optional.ofNullable(pageMap);
    }

    private static void requireRoot(Descriptor file, int found, int expected) throws DamagedException {
        if (found != expected) {
            throw new DamagedException(file + " is not the one that the manifest names: its root is "
                    + String.format("%08x, not %08x", found, expected));
        }
    }

    /** Opens a file that the manifest lists, attachments included, for reading; closing this closes the file. */
    public synchronized Descriptor open(String file) throws IOException {
        SnapshotFile listed = manifest.file(file).orElseThrow(
                () -> new NoSuchFileException(directory + "/" + Printable.of(file), null, "it has no such file"));
        return closing.add(openChecked(listed));
    }

    private Descriptor openChecked(SnapshotFile listed) throws IOException {
        try {
            return open(listed);
        } catch (DamagedException failure) {
            if (StagingArea.isNamed(store.root(), id().key(), directory)) {
                throw failure;
            }
            NoSuchFileException gone = new NoSuchFileException(directory + "/" + listed.name(), null,
                    id() + " was deleted or replaced by force while it was in use");
            gone.initCause(failure);
            throw gone;
        }
    }

    private Descriptor open(SnapshotFile listed) throws IOException {
        if (!SnapshotFiles.isAttachment(listed.name())) {
            return StoreDirectory.openFile(directory, listed.name(), listed.lengthBytes());
        }
        String name = listed.name().substring(SnapshotFiles.ATTACHMENT_PREFIX.length());
        try (Descriptor attachments = StoreDirectory.openAttachments(directory)) {
            return StoreDirectory.openFile(attachments, name, listed.lengthBytes());
        }
    }

    /** Opens a hint for reading, if it exists; closing this closes the file. The reader checks its content. */
    public synchronized Optional<Descriptor> hint(String name) throws IOException {
        Optional<Descriptor> opened = openHint(name);
        opened.ifPresent(closing::add);
        return opened;
    }

    /** As {@link #hint}; the caller closes it. */
    Optional<Descriptor> openHint(String name) throws IOException {
        if (!SnapshotFiles.HINTS.contains(name)) {
            throw new IllegalArgumentException("'" + Printable.of(name) + "' is no hint; there are "
                    + SnapshotFiles.HINTS);
        }
        Constants constants = directory.posix().constants();
        Descriptor opened;
        try {
            opened = directory.openAt(name, constants.O_RDONLY | constants.O_NONBLOCK, 0);
        } catch (NoSuchFileException e) {
            return Optional.empty();
        }
        boolean regular = false;
        try {
            regular = opened.status().isRegularFile();
            return regular ? Optional.of(opened) : Optional.empty();
        } finally {
            if (!regular) {
                opened.close();
            }
        }
    }

    /**
     * Returns the pages that restored guests touched, as of the first call; empty if nothing was recorded. An unusable
     * hint is ignored, and logged once.
     */
    public synchronized Optional<WorkingSetMap> workingSet() {
        if (!workingSetSought) {
            workingSetSought = true;
            try (LatestWorkingSet latest = LatestWorkingSet.of(this)) {
                workingSet = latest.take();
                workingSet.ifPresent(closing::add);
            } catch (IOException unusable) {
                LOG.log(System.Logger.Level.WARNING, this + ": its working set is ignored: " + unusable.getMessage());
            }
        }
        return workingSet;
    }

    /** Adds a recording to the working set: the pages that a restored guest touched. */
    public WorkingSet addRecording(WorkingSetRecorder.Touched touched) throws IOException {
        return new WorkingSetRecorder(store, this).add(touched);
    }

    Optional<WorkingSet> describedWorkingSet() throws IOException {
        try (LatestWorkingSet latest = LatestWorkingSet.of(this)) {
            return latest.description();
        }
    }

    /**
     * Keeps everything open until the returned handle is closed, even if this is closed first: for restores that share
     * it.
     */
    public synchronized Closeable share() {
        if (closed) {
            throw new IllegalStateException(this + " is not held any more");
        }
        users++;
        AtomicBoolean shared = new AtomicBoolean(true);
        return () -> {
            if (shared.compareAndSet(true, false)) {
                leave();
            }
        };
    }

    private synchronized void leave() {
        users--;
        if (closed && users == 0) {
            release();
        }
    }

    /**
     * Reads and checks everything but guest RAM: page index and map, and the SHA-256 of every other file. The code that
     * composes the image checks it against the index.
     */
    public void verifyFiles() throws IOException {
        pageIndex().verify();
        Optional<PageMap> map = pageMap();
        if (map.isPresent()) {
            map.get().verify();
        }
        for (SnapshotFile file : manifest.files()) {
            if (file.hasSha256()) {
                // Opens one file at a time: there may be more of them than a process may have open.
                try (Descriptor opened = openChecked(file)) {
                    Digests.require(file, opened);
                }
            }
        }
    }

    /** Throws {@code DamagedException} unless a copy of one of its files has the digest in the manifest. */
    public void requireDigest(String file, Descriptor copy) throws IOException {
        SnapshotFile listed = manifest.file(file).filter(SnapshotFile::hasSha256).orElseThrow(() ->
                new IllegalArgumentException(this + " has no digest of the bytes of " + Printable.of(file)));
        Digests.require(listed, copy);
    }

    Descriptor directory() {
        return directory;
    }

    /**
     * Ends the hold on the snapshot and its bases, and closes everything opened through this, once no restore shares
     * it.
     */
    @Override
    public synchronized void close() {
        if (!closed) {
            closed = true;
            if (users == 0) {
                release();
            }
        }
    }

    private void release() {
        pageIndex = null;
        pageMap = null;
        workingSet = Optional.empty();
        closing.closeQuietly(LOG);
    }

    @Override
    public String toString() {
        return manifest.reference().toString();
    }
}
