package io.microsnap.memory.internal.image;

import io.microsnap.core.GuestLayout;
import io.microsnap.core.PageReader;
import io.microsnap.core.Progress;
import io.microsnap.core.SnapshotException;
import io.microsnap.core.internal.file.Extents;
import io.microsnap.core.internal.posix.Descriptor;
import io.microsnap.dirty.DirtyBitmap;
import io.microsnap.memory.MemoryWritten;
import io.microsnap.store.internal.PageChecks;
import io.microsnap.store.internal.PageIndex;
import io.microsnap.store.internal.PageMap;
import java.io.IOException;
import java.time.Duration;
import java.util.ArrayList;
import java.util.List;

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
    /** Of runs that are longer as a rule one lane is as fast without another file. */
    private static final long SHORT_RUN_BYTES = 16 << 10;

    private final GuestLayout layout;
    private final Descriptor image;
    private final boolean startsAsZeros;
    private final PageIndex index;
    private final PageChecks checks;
    private final PageMap map;
    private final Zeros zeros;
    private final int lanes;
    private final Lanes started;
    private final Progress progress;
    private final DirtyBitmap toPunch;
    private final SideFiles sideFiles;
    private boolean wroteBeside;

    private ImageWriter(Builder builder, boolean startsAsZeros) {
        layout = builder.layout;
        image = builder.image;
        this.startsAsZeros = startsAsZeros;
        index = builder.index;
        checks = builder.checks;
        map = builder.map;
        zeros = builder.zeros;
        lanes = builder.lanes;
        started = builder.started;
        progress = builder.progress;
        toPunch = startsAsZeros ? null : DirtyBitmap.of(layout);
        sideFiles = builder.sideFiles;
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
        private PageChecks checks;
        private PageMap map;
        private Zeros zeros = Zeros.SPARSE;
        private int lanes = 1;
        private Lanes started;
        private Progress progress = Progress.NONE;
        private SideFiles sideFiles = SideFiles.none();

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

        /** Shows every page that it writes, or leaves out as zero, to these checks. */
        public Builder checks(PageChecks shown) {
            checks = shown;
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
            started = null;
            return this;
        }

        /** As above, with threads that are started already; closing them is for the caller. */
        public Builder lanes(Lanes threads) {
            lanes = threads.most();
            started = threads;
            return this;
        }

        /**
         * Lets lanes write beside the image where that pays. It is not complete then before {@link #settle}, for which
         * the files must still be open, and the writer writes once.
         */
        public Builder beside(SideFiles files) {
            sideFiles = files;
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

    /**
     * What was put off until nobody waits: takes over what was written beside the image, and makes holes of the zeros
     * in a clone that are long enough.
     *
     * @return how much became holes
     */
    public long settle() throws IOException {
        if (wroteBeside) {
            sideFiles.gatherInto(image);
        }
        long[] punchedBytes = {0};
        if (toPunch != null) {
            toPunch.runs(0, (offset, lengthBytes) -> {
                if (lengthBytes >= PagePass.smallestHoleBytes(zeros)) {
                    punchedBytes[0] += punch(offset, lengthBytes);
                }
            });
        }
        return punchedBytes[0];
    }

    private long punch(long offset, long lengthBytes) throws IOException {
        if (Extents.punch(image, offset, lengthBytes)) {
            return lengthBytes;
        }
        if (wroteBeside) {
            throw new SnapshotException(image + " cannot have a hole of " + lengthBytes + " bytes at " + offset
                    + ", where the guest has zeros that were not written; capture again");
        }
        return 0;
    }

    /** Zeros for a clone are written while somebody waits, unless the image is not written at all meanwhile. */
    private PagePass.Plan plan(PageReader base, DirtyBitmap changed) {
        boolean leavesHoles = !zeros.equals(Zeros.DENSE) && (startsAsZeros || wroteBeside);
        return new PagePass.Plan(startsAsZeros, zeros, leavesHoles, index, checks, map, base, changed, toPunch);
    }

    private MemoryWritten write(PageReader reader, DirtyBitmap dirty, PageReader base, DirtyBitmap changed)
            throws IOException {
        if (wroteBeside) {
            throw new IllegalStateException(image + " was written already, beside it");
        }
        reader.requireMapped();
        long startNanos = System.nanoTime();
        long offeredBytes = dirty == null ? layout.lengthBytes() : dirty.count() * dirty.blockBytes();
        int most = (int) Math.min(lanes, 1 + offeredBytes / BYTES_A_LANE);
        wroteBeside = base == null && dirty != null && writesBeside(dirty, offeredBytes);
        PagePass.Plan plan = plan(base, changed);
        List<WritingLane> work;
        if (wroteBeside) {
            work = eachWritingBeside(most, reader, dirty, plan);
        } else if (!PagePass.staysInPlace(reader, plan) || base != null) {
            work = eachWriting(most, reader, dirty, plan);
        } else if (plan.looksAtBytes() && most > 1) {
            work = oneWriting(most, reader, dirty, plan);
        } else {
            // A file takes one write at a time, and there is nothing else to do.
            work = eachWriting(1, reader, dirty, plan);
        }
        try {
            run(work);
            return sum(work, startNanos);
        } finally {
            work.forEach(WritingLane::freeBuffers);
        }
    }

    /** Not in streams, which take longer to warm up than a short pause lasts. */
    private static MemoryWritten sum(List<WritingLane> work, long startNanos) {
        long offered = 0;
        long recorded = 0;
        long zero = 0;
        long bytes = 0;
        long damaged = 0;
        long stalledNanos = 0;
        for (WritingLane lane : work) {
            offered += lane.pagesOffered();
            recorded += lane.pagesRecorded();
            zero += lane.pagesZero();
            bytes += lane.bytesWritten();
            damaged += lane.pagesDamagedInBase();
            stalledNanos += lane.stalledNanos();
        }
        return new MemoryWritten(offered, recorded, zero, bytes, damaged,
                Duration.ofNanos(System.nanoTime() - startNanos), Duration.ofNanos(stalledNanos));
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

    /** What is written whole is read soon by whoever restores it: it stays in the page cache under the image's name. */
    private boolean writesBeside(DirtyBitmap dirty, long dirtyBytes) throws IOException {
        if (sideFiles.count() == 0 || dirtyBytes < SideFiles.LEAST_BYTES) {
            return false;
        }
        long[] runs = {0};
        dirty.runs(0, (offset, lengthBytes) -> runs[0]++);
        return sideFiles.count() > 1 || dirtyBytes <= runs[0] * SHORT_RUN_BYTES;
    }

    private List<WritingLane> eachWritingBeside(int most, PageReader reader, DirtyBitmap dirty, PagePass.Plan plan) {
        List<WritingLane> work = new ArrayList<>();
        for (int lane = 0; lane < Math.min(most, sideFiles.count()); lane++) {
            work.add(new SideLane(reader, dirty, plan, sideFiles.get(lane), image.posix(),
                    lane == 0 ? callersStall() : null));
        }
        return work;
    }

    private List<WritingLane> eachWriting(int count, PageReader reader, DirtyBitmap dirty, PagePass.Plan plan) {
        long chunks = Math.ceilDiv(layout.lengthBytes(), Lanes.CHUNK_BYTES);
        Output whole = new Output.Image(image);
        List<WritingLane> work = new ArrayList<>();
        for (int lane = 0; lane < Math.min(count, chunks); lane++) {
            work.add(new WritingLane(reader, dirty, plan, whole, image.posix(), lane == 0 ? callersStall() : null));
        }
        return work;
    }

    private List<WritingLane> oneWriting(int count, PageReader reader, DirtyBitmap dirty, PagePass.Plan plan) {
        Output whole = new Output.Image(image);
        WriteBehind behind = new WriteBehind(whole, reader);
        Looking looking = new Looking(count - 1, index, map);
        List<WritingLane> work = new ArrayList<>();
        work.add(new WriterLane(reader, dirty, plan, whole, image.posix(), callersStall(), behind, looking));
        while (work.size() < count) {
            work.add(new LookingLane(reader, dirty, plan, behind.feed(), image.posix(), behind, looking));
        }
        return work;
    }

    private ThreadStall callersStall() {
        return started == null ? null : started.stallOfThisThread(image.posix());
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
