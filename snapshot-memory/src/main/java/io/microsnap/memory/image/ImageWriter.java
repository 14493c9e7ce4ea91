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
import java.util.concurrent.atomic.AtomicBoolean;
import java.util.concurrent.atomic.AtomicLong;

/**
 * Writes guest memory into an image that is open already, and sets the index and the map that belong to it; these are
 * the caller's to finish when nobody waits. Makes nothing durable and nothing visible.
 *
 * <p>The image is as long as the guest before it starts. Whether it reads as zeros where nothing is written is for the
 * caller to say: a new file does, a clone does not.
 */
public final class ImageWriter {
    /** For less it does not pay to start another thread. */
    private static final long BYTES_A_LANE = 4L << 20;
    /** What a writing thread looks at itself at once: a long range is then asked about as exactly as elsewhere. */
    private static final long LEAST_LOOKED_AT_BYTES = 8L << 20;

    private final GuestLayout layout;
    private final Descriptor image;
    private final boolean startsAsZeros;
    private final PageIndex index;
    private final PageMap map;
    private final Zeros zeros;
    private final int lanes;
    private final Lanes started;
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
        started = builder.started;
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
        private Lanes started;
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

        /** As above, with threads that are started already; closing them is for the caller. */
        public Builder lanes(Lanes threads) {
            started = threads;
            return lanes(threads.most());
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
        return write(reader, null, null, null);
    }

    /**
     * The pages that the bitmap names, each of which is recorded, whether or not it differs from the base's. Blocks
     * larger than a page are recorded whole.
     */
    public MemoryWritten dirty(PageReader reader, DirtyBitmap dirty) throws IOException {
        check(reader);
        check(dirty);
        return write(reader, dirty, null, null);
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
            return write(reader, null, base, changed);
        }
        check(dirty);
        return write(reader, dirty, base, changed);
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

    private MemoryWritten write(PageReader reader, DirtyBitmap dirty, PageReader base, DirtyBitmap changed)
            throws IOException {
        long startNanos = System.nanoTime();
        PagePass.Plan plan = plan(base, changed);
        long offeredBytes = dirty == null ? layout.lengthBytes() : dirty.count() * dirty.blockBytes();
        long most = Math.min(lanes, 1 + offeredBytes / BYTES_A_LANE);
        WriteBehind behind = null;
        if (PagePass.staysInPlace(reader, plan)) {
            if (!plan.looksAtBytes()) {
                // A file takes one write at a time, and there is nothing else to do.
                most = 1;
            } else if (most > 1 && base == null) {
                behind = new WriteBehind(image, reader);
            }
        }
        List<WritingLane> work = behind == null
                ? eachWriting(most, reader, dirty, plan) : oneWriting(most, reader, dirty, plan, behind);
        run(work);
        return new MemoryWritten(work.stream().mapToLong(lane -> lane.pass.pagesOffered()).sum(),
                work.stream().mapToLong(lane -> lane.pass.pagesRecorded()).sum(),
                work.stream().mapToLong(lane -> lane.pass.pagesZero()).sum(),
                work.stream().mapToLong(lane -> lane.pass.bytesWritten()).sum(),
                Duration.ofNanos(System.nanoTime() - startNanos),
                Duration.ofNanos(work.stream().mapToLong(lane -> lane.stalledNanos).sum()));
    }

    private void run(List<WritingLane> work) throws IOException {
        if (started != null) {
            started.run(work, layout.lengthBytes(), progress);
            return;
        }
        try (Lanes threads = Lanes.started(work.size())) {
            threads.run(work, layout.lengthBytes(), progress);
        }
    }

    private List<WritingLane> eachWriting(long count, PageReader reader, DirtyBitmap dirty, PagePass.Plan plan) {
        List<WritingLane> work = new ArrayList<>();
        for (long lane = 0; lane < Math.min(count, Math.ceilDiv(layout.lengthBytes(), Lanes.CHUNK_BYTES)); lane++) {
            work.add(new WritingLane(reader, dirty, plan, null));
        }
        return work;
    }

    /** The first lane is the calling thread's: it writes what the others look at, and looks itself when it is idle. */
    private List<WritingLane> oneWriting(long count, PageReader reader, DirtyBitmap dirty, PagePass.Plan plan,
            WriteBehind behind) {
        Looking looking = new Looking(count - 1);
        List<WritingLane> work = new ArrayList<>();
        work.add(new WriterLane(reader, dirty, plan, behind, looking));
        while (work.size() < count) {
            work.add(new LookingLane(reader, dirty, plan, behind, looking));
        }
        return work;
    }

    /** A thread that writes what it looks at: each chunk whole, or what the bitmap names of it. */
    private class WritingLane implements Lanes.Lane {
        private final DirtyBitmap dirty;
        private final PagePass pass;
        private final PopulatedRuns runs;
        private ThreadStall stall;
        private long stalledNanos;

        WritingLane(PageReader reader, DirtyBitmap dirty, PagePass.Plan plan, WriteBehind.Feed feed) {
            this.dirty = dirty;
            pass = new PagePass(reader, plan, feed);
            runs = new PopulatedRuns(reader, dirty == null ? parts(pass, plan.base()) : pass);
        }

        @Override
        public void ready() throws IOException {
            if (stall == null) {
                stall = ThreadStall.begin(image.posix());
            }
        }

        @Override
        public void chunk(long offset, long lengthBytes) throws IOException {
            try {
                if (dirty == null) {
                    runs.run(offset, lengthBytes);
                } else {
                    dirty.runs(offset, lengthBytes, runs::run);
                }
                runs.flush();
            } catch (InternalError error) {
                throw pass.truncated(error);
            }
        }

        @Override
        public void finish() throws IOException {
            stalledNanos = stall.nanos();
        }
    }

    /** A thread that leaves the writing of what it looks at to another. */
    private final class LookingLane extends WritingLane {
        private final WriteBehind behind;
        private final WriteBehind.Feed feed;
        private final Looking looking;

        LookingLane(PageReader reader, DirtyBitmap dirty, PagePass.Plan plan, WriteBehind behind, Looking looking) {
            this(reader, dirty, plan, behind, behind.feed(), looking);
        }

        private LookingLane(PageReader reader, DirtyBitmap dirty, PagePass.Plan plan, WriteBehind behind,
                WriteBehind.Feed feed, Looking looking) {
            super(reader, dirty, plan, feed);
            this.behind = behind;
            this.feed = feed;
            this.looking = looking;
        }

        @Override
        public void ready() {
            // It writes nothing that it could be held up by.
        }

        @Override
        public void chunk(long offset, long lengthBytes) throws IOException {
            super.chunk(offset, lengthBytes);
            feed.flush();
        }

        @Override
        public void finish() throws IOException {
            looking.ended();
            feed.end();
        }

        @Override
        public void abandon(Throwable failure) {
            behind.abandon(failure);
        }
    }

    /** The calling thread: it writes what the others have looked at, and where that is nothing it does as they do. */
    private final class WriterLane extends WritingLane {
        private final WriteBehind behind;
        private final Looking looking;

        WriterLane(PageReader reader, DirtyBitmap dirty, PagePass.Plan plan, WriteBehind behind, Looking looking) {
            super(reader, dirty, plan, null);
            this.behind = behind;
            this.looking = looking;
        }

        /** Little, to be soon back at what the others hand over: whole chunks of the index all the same. */
        @Override
        public long chunkBytes() {
            return Math.max(LEAST_LOOKED_AT_BYTES, (long) PageIndex.PAGES_IN_CHUNK * layout.pageBytes());
        }

        @Override
        public void ready() throws IOException {
            behind.writeWhatIsThere();
            looking.begun();
        }

        @Override
        public void chunk(long offset, long lengthBytes) throws IOException {
            super.chunk(offset, lengthBytes);
            looking.paused();
        }

        @Override
        public void finish() throws IOException {
            looking.ended();
            behind.writeToTheEnd();
            super.stalledNanos = behind.stalledNanos();
        }

        @Override
        public void abandon(Throwable failure) {
            behind.abandon(failure);
        }
    }

    /**
     * Who still looks, so that the last one finishes index and map: whoever publishes them would, but now there is
     * time, for the image takes a while yet.
     */
    private final class Looking {
        private final AtomicLong lanes;
        private final AtomicBoolean finished = new AtomicBoolean();

        Looking(long lanes) {
            this.lanes = new AtomicLong(lanes);
        }

        /** One more is about to take a chunk. */
        void begun() {
            lanes.incrementAndGet();
        }

        /** One has looked at its chunk and may begin again. */
        void paused() {
            lanes.decrementAndGet();
        }

        /** One found no chunk left. Who begins after the last one has ended finds none either. */
        void ended() throws IOException {
            if (lanes.decrementAndGet() > 0 || !finished.compareAndSet(false, true)) {
                return;
            }
            if (index != null) {
                index.finish();
            }
            if (map != null) {
                map.finish();
            }
        }
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
