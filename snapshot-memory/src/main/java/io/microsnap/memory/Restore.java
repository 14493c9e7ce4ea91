package io.microsnap.memory;

import io.microsnap.core.HugePages;
import io.microsnap.core.IoMode;
import io.microsnap.core.Progress;
import io.microsnap.core.SnapshotId;
import io.microsnap.core.internal.file.Mapping;
import io.microsnap.core.internal.posix.Posix;
import io.microsnap.core.internal.work.Closing;
import io.microsnap.memory.internal.image.ComposedImage;
import io.microsnap.memory.internal.image.ImageReads;
import io.microsnap.memory.internal.image.LazyMapping;
import io.microsnap.memory.internal.image.OpenedImage;
import io.microsnap.store.SnapshotStore;
import io.microsnap.store.internal.DirectoryStore;
import io.microsnap.store.internal.PageChecks;
import io.microsnap.store.internal.StoredSnapshot;
import java.io.IOException;
import java.util.Objects;
import java.util.Optional;

/**
 * A restore to be made: say how, then let one of the engines make it. Whichever does, the caller gets the same: guest
 * memory of its own, from an image that nothing modifies, with the snapshot and its bases held until it is closed.
 *
 *
 * <p>Two machines restored from one snapshot are the same machine until somebody tells them apart. Before a restored
 * copy runs its VMM must renew what was unique: the VM generation id (from which the guest reseeds its random numbers),
 * its clocks, and what names it to the outside. See {@link #renewing}.
 */
public final class Restore {
    private final DirectoryStore store;
    private final SnapshotId id;
    private Posix posix;
    private boolean verified;
    private int threads = 1;
    private IoMode io = IoMode.CACHED;
    private HugePages hugePages = HugePages.NONE;
    private int mostMappings = LazyMapping.DEFAULT_MAPPINGS;
    private Progress progress = Progress.NONE;
    private IdentityRenewal renewal = IdentityRenewal.NONE;

    private Restore(DirectoryStore store, SnapshotId id) {
        this.store = Objects.requireNonNull(store);
        this.id = Objects.requireNonNull(id);
        posix = store.posix();
    }

    /** Of a snapshot in a store. */
    public static Restore of(SnapshotStore store, SnapshotId id) {
        return new Restore(DirectoryStore.of(store), id);
    }

    /** Holds every page against the page index before the memory is handed out; a bad one ends the restore. */
    public Restore verified() {
        verified = true;
        return this;
    }

    /** The most threads that may read; one unless told. */
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

    /** What memory that is read into is made of; ordinary pages unless told. Nothing to a lazy restore. */
    public Restore hugePages(HugePages kind) {
        hugePages = Objects.requireNonNull(kind);
        return this;
    }

    /**
     * The most mappings that a lazy restore of a chain may take. It never takes more than an eighth of those that
     * {@code vm.max_map_count} leaves the process, which all its machines share, and gives them back when its memory
     * is unmapped. Runs for which there is no mapping left, the shortest first, are read in.
     */
    public Restore mostMappings(int most) {
        if (most < 0) {
            throw new IllegalArgumentException(most + " mappings");
        }
        mostMappings = most;
        return this;
    }

    /** Hears how far reading and verifying have come, and may stop them. */
    public Restore progress(Progress listener) {
        progress = listener;
        return this;
    }

    /** What is to be done to every copy before it is handed out. */
    public Restore renewing(IdentityRenewal hook) {
        renewal = Objects.requireNonNull(hook);
        return this;
    }

    /** Makes system calls through this: for tests. */
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
            StoredSnapshot held = closing.add(store.hold(id));
            ComposedImage composed = Held.compose(held);
            Made made = make(engine, new Image(held, composed));
            Mapping mapping = closing.add(made.mapping);
            RestoredSnapshot restored = new RestoredSnapshot(held, mapping, made.lazily, closing);
            renewal.renew(restored);
            event.commit(held.reference(), engine.label(), mapping.lengthBytes(), composed.layers().size(), verified);
            return restored;
        } catch (Throwable failure) {
            closing.closeAfter(failure);
            throw failure;
        }
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
        LazyMapping lazy = LazyMapping.map(image.composed, mostMappings);
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
            // A device that waits for one request after another is idle in between.
            int inFlight = io == IoMode.DIRECT ? Math.max(2, threads) : threads;
            ImageReads.into(mapping.segment(), source.image(), checks, inFlight, progress);
            if (checks.isPresent()) {
                Verify.result(image.held, checks.get()).requireWhole();
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
        Verify.result(held, checks).requireWhole();
    }
}
