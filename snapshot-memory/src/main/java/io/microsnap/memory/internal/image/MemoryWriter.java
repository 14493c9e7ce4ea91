package io.microsnap.memory.internal.image;

import io.microsnap.core.GuestLayout;
import io.microsnap.core.PageReader;
import io.microsnap.core.Progress;
import io.microsnap.core.internal.file.Extents;
import io.microsnap.core.internal.file.StorageFile;
import io.microsnap.core.internal.posix.Descriptor;
import io.microsnap.core.internal.work.Workers;
import io.microsnap.dirty.DirtyBitmap;
import io.microsnap.memory.MemoryWritten;
import io.microsnap.store.internal.PageChecks;
import io.microsnap.store.internal.PageIndex;
import io.microsnap.store.internal.PageMap;
import java.io.IOException;
import java.time.Duration;
import java.util.ArrayList;
import java.util.List;
import java.util.Optional;

/**
 * Writes guest memory into an image that is open already, and sets the index and the map that belong to it; the caller
 * finishes these after the pause. Makes nothing durable and nothing visible.
 *
 * <p>It may write pages again, in any number of passes, one at a time: image, index and map are then those of the last
 * pass that a page was in. A page that changed while a pass copied it is torn, and must be in a later pass.
 *
 * <p>The image is as long as the guest before it starts. Whether it reads as zeros where nothing is written is for the
 * caller to say: a new file does, a clone does not.
 */
public final class MemoryWriter {
    /** For less it does not pay to start another thread. */
    private static final long BYTES_A_WORKER = 4L << 20;

    private final GuestLayout layout;
    private final Descriptor image;
    private final Optional<StorageFile> storage;
    private final boolean startsAsZeros;
    private final Optional<PageIndex> index;
    private final Optional<PageChecks> checks;
    private final Optional<PageMap> map;
    private final Zeros zeros;
    private final int most;
    private final Optional<Workers> started;
    private final Progress progress;
    /** Zeros that were written over what an image had: a clone's, or that of an earlier pass. */
    private Optional<DirtyBitmap> toPunch = Optional.empty();
    private boolean written;

    private MemoryWriter(Builder builder, boolean startsAsZeros) {
        layout = builder.layout;
        image = builder.image;
        storage = builder.storage;
        this.startsAsZeros = startsAsZeros;
        index = builder.index;
        checks = builder.checks;
        map = builder.map;
        zeros = builder.zeros;
        most = builder.most;
        started = builder.started;
        progress = builder.progress;
        if (!startsAsZeros) {
            toPunch = Optional.of(DirtyBitmap.of(layout));
        }
    }

    /** Begins to describe the image to write. */
    public static Builder into(Descriptor image, GuestLayout layout) {
        return new Builder(image, layout);
    }

    /** What an image is written with. */
    public static final class Builder {
        private final Descriptor image;
        private final GuestLayout layout;
        private Optional<StorageFile> storage = Optional.empty();
        private Optional<PageIndex> index = Optional.empty();
        private Optional<PageChecks> checks = Optional.empty();
        private Optional<PageMap> map = Optional.empty();
        private Zeros zeros = Zeros.SPARSE;
        private int most = 1;
        private Optional<Workers> started = Optional.empty();
        private Progress progress = Progress.NONE;

        private Builder(Descriptor image, GuestLayout layout) {
            this.image = image;
            this.layout = layout;
        }

        /** Writes the image through this, which may know a way past the page cache. */
        public Builder through(StorageFile sameFile) {
            storage = Optional.of(sameFile);
            return this;
        }

        /**
         * Keeps the checksums: of zeros for a guest written whole, the base's for one that is compared with it or of
         * which only dirty pages are written.
         */
        public Builder index(PageIndex checksums) {
            index = Optional.of(checksums);
            return this;
        }

        /** Shows every page that it writes, or leaves out as zero, to these checks, if there are any. */
        public Builder checks(Optional<PageChecks> shown) {
            checks = shown;
            return this;
        }

        /** Keeps which pages were recorded. */
        public Builder map(PageMap recorded) {
            map = Optional.of(recorded);
            return this;
        }

        /** Says what becomes of zeros in a new image. */
        public Builder zeros(Zeros handling) {
            zeros = handling;
            return this;
        }

        /** Sets the most threads that may work, the calling one included; the default is one. */
        public Builder threads(int count) {
            if (count < 1) {
                throw new IllegalArgumentException(count + " threads");
            }
            most = count;
            started = Optional.empty();
            return this;
        }

        /** Works in threads that are started already; closing them is for the caller. */
        public Builder workers(Workers threads) {
            most = 1 + threads.count();
            started = Optional.of(threads);
            return this;
        }

        /** Hears how far the first pass has come, and may stop it. */
        public Builder progress(Progress listener) {
            progress = listener;
            return this;
        }

        /** Makes a writer for an image that reads as zeros as yet. */
        public MemoryWriter startingAsZeros() {
            return new MemoryWriter(this, true);
        }

        /** Makes a writer for an image that reads as its base as yet: a clone of it. */
        public MemoryWriter startingAsBase() {
            return new MemoryWriter(this, false);
        }
    }

    /** Writes every page. */
    public MemoryWritten everything(PageReader reader) throws IOException {
        return write(reader, new WriteMode.Everything());
    }

    /** Writes the pages that the bitmap names. */
    public MemoryWritten dirty(PageReader reader, DirtyBitmap dirty) throws IOException {
        return write(reader, new WriteMode.DirtyPages(dirty));
    }

    /**
     * Punches long enough runs of zeros in a clone, which was put off until after the pause.
     *
     * @return how much became holes
     */
    public long punchZeros() throws IOException {
        if (toPunch.isEmpty()) {
            return 0;
        }
        long[] punchedBytes = {0};
        toPunch.get().runs(0, (offset, lengthBytes) -> {
            if (lengthBytes >= PagePass.smallestHoleBytes(zeros) && Extents.punch(image, offset, lengthBytes)) {
                punchedBytes[0] += lengthBytes;
            }
        });
        return punchedBytes[0];
    }

    /** Writes the pages that the mode names, as fast as it goes. */
    public MemoryWritten write(PageReader reader, WriteMode mode) throws IOException {
        return write(reader, mode, Pace.unlimited());
    }

    /** Writes the pages that the mode names. */
    public MemoryWritten write(PageReader reader, WriteMode mode, Pace pace) throws IOException {
        check(reader, mode);
        reader.requireMapped();
        long startNanos = System.nanoTime();
        PagePass.Plan plan = new PagePass.Plan(mode, image(), zeros, notes(mode), pace);
        List<ImageWorker> work = workers(reader, plan);
        Progress heard = written ? Progress.NONE : progress;
        written = true;
        try {
            run(work, heard);
            // Not in streams, which take longer to warm up than a short pause lasts.
            PageCounts sum = new PageCounts();
            for (ImageWorker worker : work) {
                sum.add(worker.counts());
            }
            return sum.in(Duration.ofNanos(System.nanoTime() - startNanos).minus(pace.waited()));
        } finally {
            work.forEach(ImageWorker::freeBuffers);
        }
    }

    /**
     * Returns the state of the image before a pass; from the second pass on, zeros are written over earlier content.
     */
    private PagePass.Before image() {
        if (!written) {
            return startsAsZeros ? PagePass.Before.zeros() : PagePass.Before.base();
        }
        if (toPunch.isEmpty()) {
            toPunch = Optional.of(DirtyBitmap.of(layout));
        }
        return PagePass.Before.written(map, startsAsZeros ? Optional.of(image) : Optional.empty());
    }

    private PagePass.Notes notes(WriteMode mode) {
        long pageBytes = layout.pageBytes();
        boolean again = written;
        return new PagePass.Notes(index, checks, (offset, lengthBytes) -> {
            if (map.isPresent()) {
                map.get().mark(offset / pageBytes, Math.ceilDiv(lengthBytes, pageBytes));
            }
            if (again) {
                // It was zero in an earlier pass, perhaps, and would lose what it has now.
                toPunch.orElseThrow().clear(offset, lengthBytes);
            }
            if (mode instanceof WriteMode.Compare compare) {
                compare.differing().accept(offset, lengthBytes);
            }
        }, (offset, lengthBytes) -> {
            if (toPunch.isPresent()) {
                toPunch.get().mark(offset, lengthBytes);
            }
        });
    }

    private List<ImageWorker> workers(PageReader reader, PagePass.Plan plan) {
        long offeredBytes = plan.mode().pages().map(pages -> pages.count() * pages.blockBytes())
                .orElse(layout.lengthBytes());
        long count = Math.min(most, 1 + offeredBytes / BYTES_A_WORKER);
        boolean mostIsWritten = PagePass.staysInPlace(reader, plan) && plan.compare().isEmpty();
        boolean oneAtATime = storage.isEmpty() || !storage.get().takesWritesAtOnce();
        if (mostIsWritten && oneAtATime && plan.looksAtBytes() && count > 1) {
            return oneWriting(count, reader, plan);
        }
        if (mostIsWritten && oneAtATime) {
            // A file takes one write at a time, and there is nothing else to do.
            count = 1;
        }
        count = Math.min(count, Math.ceilDiv(layout.lengthBytes(), ChunkedWork.CHUNK_BYTES));
        Sink whole = sink();
        List<ImageWorker> work = new ArrayList<>();
        while (work.size() < count) {
            work.add(new ImageWorker(reader, plan, whole));
        }
        return work;
    }

    private Sink sink() {
        return storage.isPresent() ? new Sink.Image(storage.get()::write) : new Sink.Image(image);
    }

    private List<ImageWorker> oneWriting(long count, PageReader reader, PagePass.Plan plan) {
        WriteBehind behind = new WriteBehind(sink(), reader, notesToFinish());
        List<ImageWorker> work = new ArrayList<>();
        work.add(new ImageWorker(reader, plan, behind.writer()));
        while (work.size() < count) {
            work.add(new ImageWorker(reader, plan, behind.feed()));
        }
        return work;
    }

    /** After a first pass there is time for it; after a last one, short as it is, there is none. */
    private WriteBehind.Looked notesToFinish() {
        return written ? () -> { } : this::finishNotes;
    }

    /** Otherwise publication does it, later. */
    private void finishNotes() throws IOException {
        if (index.isPresent()) {
            index.get().finish();
        }
        if (map.isPresent()) {
            map.get().finish();
        }
    }

    private void run(List<ImageWorker> work, Progress heard) throws IOException {
        if (started.isPresent()) {
            ChunkedWork.run(started.get(), work, layout.lengthBytes(), heard);
            return;
        }
        try (Workers threads = Workers.started("capture", work.size() - 1)) {
            ChunkedWork.run(threads, work, layout.lengthBytes(), heard);
        }
    }

    private void check(PageReader reader, WriteMode mode) {
        if (!reader.layout().equals(layout)) {
            throw new IllegalArgumentException("a reader of " + reader.layout() + " for an image of " + layout);
        }
        if (mode instanceof WriteMode.Compare compare && !compare.base().layout().equals(layout)) {
            throw new IllegalArgumentException(
                    "a base of " + compare.base().layout() + " under an image of " + layout);
        }
        mode.pages().ifPresent(this::check);
    }

    private void check(DirtyBitmap dirty) {
        if (!dirty.layout().regions().equals(layout.regions())) {
            throw new IllegalArgumentException("a dirty bitmap of " + dirty.layout() + " ("
                    + dirty.layout().lengthBytes() + " bytes) for an image of " + layout + " (" + layout.lengthBytes()
                    + " bytes)");
        }
        if (dirty.blockBytes() % layout.pageBytes() != 0) {
            throw new IllegalArgumentException("a dirty bitmap of " + dirty.blockBytes()
                    + " bytes a bit is finer than the image's pages of " + layout.pageBytes()
                    + " bytes; fold it to pages first");
        }
    }
}
