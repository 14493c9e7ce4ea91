package io.microsnap.memory;

import io.microsnap.core.HugePages;
import io.microsnap.core.IoMode;
import io.microsnap.core.Progress;
import io.microsnap.core.SnapshotId;
import io.microsnap.core.internal.file.Advice;
import io.microsnap.core.internal.file.Mapping;
import io.microsnap.core.internal.posix.Posix;
import io.microsnap.core.internal.work.Closing;
import io.microsnap.dirty.TrackingUnavailableException;
import io.microsnap.memory.internal.ahead.PageRuns;
import io.microsnap.memory.internal.ahead.ReadAhead;
import io.microsnap.memory.internal.image.ComposedImage;
import io.microsnap.memory.internal.image.ImageReads;
import io.microsnap.memory.internal.image.LazyMapping;
import io.microsnap.memory.internal.image.OpenedImage;
import io.microsnap.store.HeldSnapshot;
import io.microsnap.store.SnapshotStore;
import io.microsnap.store.internal.DirectoryStore;
import io.microsnap.store.internal.PageChecks;
import io.microsnap.store.internal.StoredSnapshot;
import io.microsnap.store.internal.WorkingSetMap;
import java.io.IOException;
import java.util.Objects;
import java.util.Optional;

/**
 * Describes a restore: set the options, then restore with one of the engines. With each of them the caller gets private
 * guest memory, from an image that nothing modifies; the snapshot and its bases are held until the memory is closed.
 *
 *
 * <p>Two machines restored from one snapshot have the same identity until their VMM renews it. Before a restored copy
 * runs, its VMM must renew everything that has to be unique: the VM generation id (from which the guest reseeds its
 * random numbers), its clocks, and its names and addresses. See {@link #renewing}.
 */
public final class Restore {
    private static final System.Logger LOG = System.getLogger(Restore.class.getName());

    private final Holding holding;
    private final SnapshotId id;
    private Posix posix;
    private boolean verified;
    private int threads = 1;
    private IoMode io = IoMode.CACHED;
    private HugePages hugePages = HugePages.NONE;
    private int mostMappings = LazyMapping.DEFAULT_MAPPINGS;
    private Progress progress = Progress.NONE;
    private IdentityRenewal renewal = IdentityRenewal.NONE;
    private Prefetch prefetch = Prefetch.WORKING_SET;
    private boolean beside;
    private boolean recordable;

    /** Holds the snapshot for one copy, until that is closed. */
    private interface Holding {
        StoredSnapshot hold(Closing closing) throws IOException;
    }

    private Restore(Holding holding, SnapshotId id, Posix posix) {
        this.holding = holding;
        this.id = Objects.requireNonNull(id);
        this.posix = posix;
    }

    /** Begins a restore of a snapshot in a store. */
    public static Restore of(SnapshotStore store, SnapshotId id) {
        DirectoryStore directory = DirectoryStore.of(store);
        return new Restore(closing -> closing.add(directory.hold(id)), id, directory.posix());
    }

    /**
     * Begins a restore of a snapshot that the caller holds: its manifest, page maps, index and working set are read
     * once for all copies. The caller may close it while copies are in use; they share it.
     */
    public static Restore of(HeldSnapshot snapshot) {
        StoredSnapshot held = (StoredSnapshot) snapshot;
        return new Restore(closing -> {
            closing.add(held.share());
            return held;
        }, held.id(), held.image().posix());
    }

    /** Checks every page against the page index before the memory is handed out; a bad one ends the restore. */
    public Restore verified() {
        verified = true;
        return this;
    }

    /** Sets the most threads that may read; the default is one. */
    public Restore threads(int most) {
        if (most < 1) {
            throw new IllegalArgumentException(most + " threads");
        }
        threads = most;
        return this;
    }

    /**
     * Sets which way the image is read; the default is through the page cache. A lazy restore maps the page cache and
     * refuses any other.
     */
    public Restore io(IoMode mode) {
        io = Objects.requireNonNull(mode);
        return this;
    }

    /** Sets the size of the pages of the memory; the default is ordinary pages. A lazy restore ignores it. */
    public Restore hugePages(HugePages kind) {
        hugePages = Objects.requireNonNull(kind);
        return this;
    }

    /**
     * Sets the most mappings that a lazy restore of a chain may take. It never takes more than an eighth of those that
     * {@code vm.max_map_count} leaves the process, which all its machines share, and returns them when its memory is
     * unmapped. Runs for which no mapping is left, the shortest first, are read in.
     */
    public Restore mostMappings(int most) {
        if (most < 0) {
            throw new IllegalArgumentException(most + " mappings");
        }
        mostMappings = most;
        return this;
    }

    /**
     * Sets what a lazy restore reads ahead before it hands the memory out; the default is the working set. It reads in
     * up to {@link #threads} threads, and uses at most half of the memory that is available to this process: {@link
     * RestoredSnapshot#prefetched} says what was left out. The other engines read everything.
     */
    public Restore prefetch(Prefetch what) {
        prefetch = Objects.requireNonNull(what);
        beside = false;
        return this;
    }

    /** As {@link #prefetch}, but in separate threads, while the guest runs. */
    public Restore prefetchBeside(Prefetch what) {
        prefetch = Objects.requireNonNull(what);
        beside = true;
        return this;
    }

    /**
     * Makes a lazy restore ready for {@link RestoredSnapshot#recordWorkingSet}: prefetched pages come only into the
     * page cache, and are mapped when the guest touches them.
     */
    public Restore recordable() {
        recordable = true;
        return this;
    }

    /** Sets the listener for the progress of reading and verifying, which may stop them. */
    public Restore progress(Progress listener) {
        progress = listener;
        return this;
    }

    /** Sets the renewal of every copy's identity, which runs before the copy is handed out. */
    public Restore renewing(IdentityRenewal hook) {
        renewal = Objects.requireNonNull(hook);
        return this;
    }

    /** Makes system calls through another interface, for tests. */
    Restore through(Posix other) {
        posix = other;
        return this;
    }

    /** Restores the snapshot into memory of this process. May be called again, for another copy. */
    public RestoredSnapshot restore(RestoreEngine engine) throws IOException {
        if (engine == RestoreEngine.LAZY && io != IoMode.CACHED) {
            throw new IllegalArgumentException("a lazy restore maps the page cache and cannot be " + io.label()
                    + "; restore eagerly, or cached");
        }
        RestoreEvent event = new RestoreEvent();
        event.begin();
        Closing closing = new Closing();
        try {
            StoredSnapshot held = holding.hold(closing);
            ComposedImage composed = BaseChain.compose(held);
            Made made = make(engine, new Image(held, composed));
            Mapping mapping = closing.add(made.mapping);
            RestoredSnapshot restored = new RestoredSnapshot(held, mapping, made.lazily, closing);
            if (made.lazily.isPresent()) {
                watch(restored);
                readAhead(held, composed, restored, closing);
            }
            renewal.renew(restored);
            event.commit(held.reference(), engine.label(), mapping.lengthBytes(), composed.layers().size(), verified);
            return restored;
        } catch (Throwable failure) {
            closing.closeAfter(failure);
            throw failure;
        }
    }

    /** Begins to watch, before anything touches the memory. */
    private void watch(RestoredSnapshot restored) throws IOException {
        if (recordable) {
            try {
                restored.watchTouches();
            } catch (TrackingUnavailableException unavailable) {
                LOG.log(System.Logger.Level.WARNING, unavailable.getMessage());
            }
        }
    }

    private void readAhead(StoredSnapshot held, ComposedImage composed, RestoredSnapshot restored, Closing closing)
            throws IOException {
        PageRuns wanted = wanted(held, composed);
        if (wanted.count() == 0) {
            return;
        }
        Mapping mapping = restored.mapping();
        if (prefetch == Prefetch.WORKING_SET) {
            // Pages outside of the set are probably not needed: read-ahead around touched pages would fill the page
            // cache.
            mapping.advise(0, mapping.lengthBytes(), Advice.RANDOM);
        }
        ReadAhead.Extent extent = recordable ? ReadAhead.Extent.PAGE_CACHE : ReadAhead.Extent.MAPPED;
        PrefetchRun run = closing.add(new PrefetchRun(composed, mapping, wanted, extent, threads));
        restored.readsAhead(run, extent);
        if (beside) {
            run.runBeside();
        } else {
            run.run();
        }
    }

    private PageRuns wanted(StoredSnapshot held, ComposedImage composed) throws IOException {
        PageRuns wanted = new PageRuns();
        switch (prefetch) {
            case NONE -> { }
            case WORKING_SET -> {
                Optional<WorkingSetMap> set = held.workingSet();
                if (set.isPresent()) {
                    set.get().runs(wanted::add);
                }
            }
            case EVERYTHING -> composed.populated(0, composed.layout().lengthBytes(), wanted::add);
        }
        return wanted;
    }

    private Made make(RestoreEngine engine, Image image) throws IOException {
        return switch (engine) {
            case LAZY -> map(image);
            case EAGER -> read(image, Mapping.anonymous(posix, image.lengthBytes(), hugePages));
            case MEMFD -> read(image, Mapping.memfd(posix, "guest-" + id.name(), image.lengthBytes(), hugePages));
        };
    }

    private Made map(Image image) throws IOException {
        if (verified) {
            verify(image.held, image.composed);
        }
        LazyMapping lazy = LazyMapping.map(image.composed, mostMappings, threads);
        return new Made(lazy.mapping(), Optional.of(lazy));
    }

    private record Made(Mapping mapping, Optional<LazyMapping> lazily) {
    }

    private record Image(StoredSnapshot held, ComposedImage composed) {
        long lengthBytes() {
            return composed.layout().lengthBytes();
        }
    }

    private Made read(Image image, Mapping mapping) throws IOException {
        try (OpenedImage source = OpenedImage.of(image.composed, io)) {
            Optional<PageChecks> checks = Optional.empty();
            if (verified) {
                checks = Optional.of(new PageChecks(image.held.pageIndex()));
            }
            // A device that gets one request at a time is idle in between.
            int inFlight = io == IoMode.DIRECT ? Math.max(2, threads) : threads;
            ImageReads.into(mapping.segment(), source.image(), checks, inFlight, progress);
            if (checks.isPresent()) {
                Verification.result(image.held, checks.get()).requireWhole();
            }
            return new Made(mapping, Optional.empty());
        } catch (Throwable failure) {
            try {
                mapping.close();
            } catch (Throwable closing) {
                failure.addSuppressed(closing);
            }
            throw failure;
        }
    }

    private void verify(StoredSnapshot held, ComposedImage composed) throws IOException {
        PageChecks checks = new PageChecks(held.pageIndex());
        ImageReads.check(composed, checks, threads, progress);
        Verification.result(held, checks).requireWhole();
    }
}
