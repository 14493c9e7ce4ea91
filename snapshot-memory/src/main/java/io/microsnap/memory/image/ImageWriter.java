package io.microsnap.memory.image;

import io.microsnap.core.GuestLayout;
import io.microsnap.core.PageReader;
import io.microsnap.core.Progress;
import io.microsnap.core.RangeConsumer;
import io.microsnap.core.posix.Descriptor;
import io.microsnap.core.store.PageIndex;
import io.microsnap.core.store.PageMap;
import io.microsnap.dirty.DirtyBitmap;
import java.io.IOException;
import java.time.Duration;
import java.util.ArrayList;
import java.util.List;
import java.util.concurrent.atomic.AtomicLong;

/**
 * Writes guest memory into an image that is open already, with the index and the map that belong to it. Makes nothing
 * durable and nothing visible.
 *
 * <p>The image is as long as the guest before it starts. Whether it reads as zeros where nothing is written is for the
 * caller to say: a new file does, a clone does not.
 */
public final class ImageWriter {
    private final GuestLayout layout;
    private final Descriptor image;
    private final boolean startsAsZeros;
    private final PageIndex index;
    private final PageMap map;
    private final Zeros zeros;
    private final int lanes;
    private final Progress progress;
    private final DirtyBitmap writtenZeros;

    private ImageWriter(Builder builder, boolean startsAsZeros) {
        layout = builder.layout;
        image = builder.image;
        this.startsAsZeros = startsAsZeros;
        index = builder.index;
        map = builder.map;
        zeros = builder.zeros;
        lanes = builder.lanes;
        progress = builder.progress;
        writtenZeros = startsAsZeros ? null : DirtyBitmap.of(layout);
    }

    /** Begins to describe the image to write. */
    public static Builder into(Descriptor image, GuestLayout layout) {
        return new Builder(image, layout);
    }

    /** What an image is written with. */
    public static final class Builder {
        private final Descriptor image;
        private final GuestLayout layout;
        private PageIndex index;
        private PageMap map;
        private Zeros zeros = Zeros.SPARSE;
        private int lanes = 1;
        private Progress progress = Progress.NONE;

        private Builder(Descriptor image, GuestLayout layout) {
            this.image = image;
            this.layout = layout;
        }

        /**
         * Keeps the checksums: of zeros for a guest written whole, the base's for one that is compared with it or of
         * which only dirty pages are written.
         */
        public Builder index(PageIndex checksums) {
            index = checksums;
            return this;
        }

        /** Keeps which pages were recorded. */
        public Builder map(PageMap recorded) {
            map = recorded;
            return this;
        }

        /** What becomes of zeros in a new image. */
        public Builder zeros(Zeros handling) {
            zeros = handling;
            return this;
        }

        /** The most threads that may work, the calling one included. */
        public Builder lanes(int most) {
            if (most < 1) {
                throw new IllegalArgumentException(most + " lanes");
            }
            lanes = most;
            return this;
        }

        /** Hears how far the writing has come, and may stop it. */
        public Builder progress(Progress listener) {
            progress = listener;
            return this;
        }

        /** A writer for an image that reads as zeros as yet. */
        public ImageWriter startingAsZeros() {
            return new ImageWriter(this, true);
        }

        /** A writer for an image that reads as its base as yet: a clone of it. */
        public ImageWriter startingAsBase() {
            return new ImageWriter(this, false);
        }
    }

    /** Every page. */
    public MemoryWritten everything(PageReader reader) throws IOException {
        check(reader);
        return ranges(reader, null, null);
    }

    /**
     * The pages that the bitmap names, each of which is recorded, whether or not it differs from the base's. Blocks
     * larger than a page are recorded whole.
     */
    public MemoryWritten dirty(PageReader reader, DirtyBitmap dirty) throws IOException {
        check(reader);
        check(dirty);
        return runs(reader, dirty, null, null);
    }

    /**
     * What differs from the base: of the pages that the bitmap names, or of all.
     *
     * @param dirty names the pages to compare; null for all
     * @param changed is told the pages that differ; null where nobody asks
     */
    public MemoryWritten changes(PageReader reader, PageReader base, DirtyBitmap dirty, DirtyBitmap changed)
            throws IOException {
        check(reader);
        if (!base.layout().equals(layout)) {
            throw new IllegalArgumentException("a base of " + base.layout() + " under an image of " + layout);
        }
        if (dirty == null) {
            return ranges(reader, base, changed);
        }
        check(dirty);
        return runs(reader, dirty, base, changed);
    }

    /** The runs of zeros written into a clone that are long enough to be holes: to be punched when nobody waits. */
    public void holesToPunch(RangeConsumer ranges) throws IOException {
        if (writtenZeros == null) {
            return;
        }
        writtenZeros.runs(0, (offset, lengthBytes) -> {
            if (lengthBytes >= zeros.smallestHoleBytes()) {
                ranges.accept(offset, lengthBytes);
            }
        });
    }

    private PagePass.Plan plan(PageReader base, DirtyBitmap changed) {
        return new PagePass.Plan(image, startsAsZeros, zeros, index, map, base, changed, writtenZeros);
    }

    private MemoryWritten ranges(PageReader reader, PageReader base, DirtyBitmap changed) throws IOException {
        long startNanos = System.nanoTime();
        AtomicLong stalledNanos = new AtomicLong();
        PagePass.Plan plan = plan(base, changed);
        List<PagePass> passes = new ArrayList<>();
        List<Lanes.Lane> work = new ArrayList<>();
        long chunks = Math.ceilDiv(layout.lengthBytes(), Lanes.CHUNK_BYTES);
        for (int lane = 0; lane < Math.min(lanes, chunks); lane++) {
            PagePass pass = new PagePass(reader, plan);
            PopulatedRuns runs = new PopulatedRuns(reader, parts(pass, base));
            passes.add(pass);
            work.add((offset, lengthBytes) -> {
                try {
                    ThreadStall stall = ThreadStall.begin(image.posix());
                    runs.run(offset, lengthBytes);
                    runs.flush();
                    stalledNanos.addAndGet(stall.nanos());
                } catch (InternalError error) {
                    throw pass.truncated(error);
                }
            });
        }
        Lanes.run(work, layout.lengthBytes(), progress);
        return written(passes, startNanos, stalledNanos.get());
    }

    /** In a new image what was never populated is a hole already, and zero in its index. */
    private PopulatedRuns.Parts parts(PagePass pass, PageReader base) {
        if (base != null || !startsAsZeros || zeros.equals(Zeros.DENSE)) {
            return pass;
        }
        return new PopulatedRuns.Parts() {
            @Override
            public void populated(long offset, long lengthBytes) throws IOException {
                pass.populated(offset, lengthBytes);
            }

            @Override
            public void empty(long offset, long lengthBytes) {
                // Neither written nor indexed.
            }
        };
    }

    private MemoryWritten runs(PageReader reader, DirtyBitmap dirty, PageReader base, DirtyBitmap changed)
            throws IOException {
        long startNanos = System.nanoTime();
        PagePass pass = new PagePass(reader, plan(base, changed));
        try {
            ThreadStall stall = ThreadStall.begin(image.posix());
            runs(new PopulatedRuns(reader, pass), dirty);
            return written(List.of(pass), startNanos, stall.nanos());
        } catch (InternalError error) {
            throw pass.truncated(error);
        }
    }

    private void runs(PopulatedRuns populated, DirtyBitmap dirty) throws IOException {
        Meter meter = new Meter(dirty.count() * dirty.blockBytes());
        dirty.runs(0, (offset, lengthBytes) -> {
            for (long done = 0; done < lengthBytes; done += Lanes.CHUNK_BYTES) {
                long piece = Math.min(lengthBytes - done, Lanes.CHUNK_BYTES);
                populated.run(offset + done, piece);
                meter.add(piece);
            }
        });
        populated.flush();
        meter.finish();
    }

    /** Tells of progress seldom enough to cost nothing, however short the runs are. */
    private final class Meter {
        private final long totalBytes;
        private long doneBytes;
        private long toldBytes;

        Meter(long totalBytes) {
            this.totalBytes = totalBytes;
        }

        void add(long bytes) throws IOException {
            doneBytes += bytes;
            if (doneBytes - toldBytes >= Lanes.CHUNK_BYTES) {
                toldBytes = doneBytes;
                // The last block of a bitmap may reach past the end of the image.
                progress.advanced(Math.min(doneBytes, totalBytes), totalBytes);
            }
        }

        void finish() throws IOException {
            progress.advanced(totalBytes, totalBytes);
        }
    }

    private static MemoryWritten written(List<PagePass> passes, long startNanos, long stalledNanos) {
        return new MemoryWritten(passes.stream().mapToLong(PagePass::pagesOffered).sum(),
                passes.stream().mapToLong(PagePass::pagesRecorded).sum(),
                passes.stream().mapToLong(PagePass::pagesZero).sum(),
                passes.stream().mapToLong(PagePass::bytesWritten).sum(),
                Duration.ofNanos(System.nanoTime() - startNanos), Duration.ofNanos(stalledNanos));
    }

    private void check(PageReader reader) {
        if (!reader.layout().equals(layout)) {
            throw new IllegalArgumentException("a reader of " + reader.layout() + " for an image of " + layout);
        }
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
