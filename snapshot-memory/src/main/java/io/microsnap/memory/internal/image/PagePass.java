package io.microsnap.memory.internal.image;

import io.microsnap.core.GuestLayout;
import io.microsnap.core.PageReader;
import io.microsnap.core.RangeConsumer;
import io.microsnap.core.SnapshotException;
import io.microsnap.core.internal.file.Extents;
import io.microsnap.core.internal.file.PageScratch;
import io.microsnap.core.internal.file.Pages;
import io.microsnap.core.internal.file.Truncation;
import io.microsnap.core.internal.posix.Descriptor;
import io.microsnap.store.internal.PageChecks;
import io.microsnap.store.internal.PageIndex;
import io.microsnap.store.internal.PageMap;
import java.io.IOException;
import java.lang.foreign.MemorySegment;
import java.util.Optional;

/**
 * One worker's part of the one pass over guest bytes. It examines a step of memory that fits the processor's cache page
 * by page (is it zero, does it equal the base, what is its checksum) and then passes it to the kernel in runs as long
 * as possible, straight from guest memory if the reader gives a view of it.
 */
final class PagePass implements PopulatedRuns.Parts {
    /**
     * Short enough to be in the last-level cache when the kernel copies it, and long enough for the kernel to copy at
     * full speed: steps that fit the second-level cache made XFS a quarter slower.
     */
    private static final int STEP_BYTES = 4 << 20;

    private static final byte RECORD = 0;
    private static final byte RECORD_ZERO = 1;
    private static final byte SAME = 2;

    /**
     * The state of the image before a pass.
     *
     * @param readsAsZeros whether unwritten parts read as zeros
     * @param recorded the pages that earlier passes wrote; empty if there were none, or if no map is kept
     * @param holed the image, if it may get holes where the guest has nothing populated
     */
    record Before(boolean readsAsZeros, Optional<PageMap> recorded, Optional<Descriptor> holed) {
        static Before zeros() {
            return new Before(true, Optional.empty(), Optional.empty());
        }

        static Before base() {
            return new Before(false, Optional.empty(), Optional.empty());
        }

        static Before written(Optional<PageMap> recorded, Optional<Descriptor> holed) {
            return new Before(false, recorded, holed);
        }
    }

    /**
     * What the pass does with pages, the same for all workers.
     *
     * @param zeros how zeros are stored
     */
    record Plan(WriteMode mode, Before before, Zeros zeros, Notes notes, Pace pace) {
        boolean leavesHoles() {
            return before.readsAsZeros() && !zeros.equals(Zeros.DENSE);
        }

        Optional<WriteMode.Compare> compare() {
            return mode instanceof WriteMode.Compare compare ? Optional.of(compare) : Optional.empty();
        }

        boolean looksAtBytes() {
            return notes.index.isPresent() || notes.checks.isPresent() || compare().isPresent()
                    || !before.readsAsZeros() || leavesHoles();
        }

        /** Returns whether pages that were never populated are holes already, and zeros in the index. */
        boolean leavesEmpty() {
            return leavesHoles() && notes.checks.isEmpty() && mode instanceof WriteMode.Everything;
        }
    }

    /**
     * Where all threads record facts about pages, beside the image.
     *
     * @param index receives the checksums
     * @param checks receives every page
     * @param recorded receives the pages that the image holds as its own
     * @param zeros receives those of them that are zeros
     */
    record Notes(Optional<PageIndex> index, Optional<PageChecks> checks, RangeConsumer recorded,
            RangeConsumer zeros) {
    }

    private final PageReader reader;
    private final Plan plan;
    private final Optional<PageIndex> index;
    private final Optional<PageChecks> checks;
    private final Optional<WriteMode.Compare> compare;
    private final Optional<PageMap> recorded;
    private final int pageBytes;
    private PageScratch own;
    private PageScratch ofBase;
    private final byte[] verdicts;
    private final int[] checksums;
    private final MemorySegment checksumsAsMemory;
    private final boolean copies;
    private final boolean hasView;
    private final int smallestHolePages;
    private final DirectView view;
    private final Sink sink;
    private long loadedOffset;
    private long loadedBytes;

    private final PageCounts counts = new PageCounts();

    /** Makes one worker's pass. */
    PagePass(PageReader reader, Plan plan, Sink sink) {
        this.reader = reader;
        this.plan = plan;
        index = plan.notes.index;
        checks = plan.notes.checks;
        compare = plan.compare();
        recorded = plan.before.recorded();
        this.sink = sink;
        view = new DirectView(reader);
        GuestLayout layout = reader.layout();
        pageBytes = layout.pageBytes();
        verdicts = new byte[STEP_BYTES / pageBytes];
        checksums = new int[verdicts.length];
        checksumsAsMemory = MemorySegment.ofArray(checksums);
        hasView = hasView(reader);
        copies = !staysInPlace(hasView, reader, plan);
        smallestHolePages = plan.leavesHoles()
                ? (int) Math.ceilDiv(smallestHoleBytes(plan.zeros), (long) pageBytes) : Integer.MAX_VALUE;
    }

    /**
     * Returns the shortest run of zeros that is left out or punched; at most a step, because runs are examined one step
     * at a time.
     */
    static long smallestHoleBytes(Zeros zeros) {
        return zeros.equals(Zeros.DENSE) ? Long.MAX_VALUE : Math.min(zeros.smallestHoleBytes(), STEP_BYTES);
    }

    /** Returns whether the pass examines and writes guest memory in place. */
    static boolean staysInPlace(PageReader reader, Plan plan) {
        return staysInPlace(hasView(reader), reader, plan);
    }

    private static boolean staysInPlace(boolean hasView, PageReader reader, Plan plan) {
        // The JDK's checksum must not read memory that another process may truncate meanwhile.
        return hasView && !(reader.mayBeTruncated() && plan.looksAtBytes());
    }

    private static boolean hasView(PageReader reader) {
        // An imported image may be shorter than a page.
        GuestLayout layout = reader.layout();
        return !reader.view(0, Math.min(layout.pageBytes(), layout.lengthBytes())).equals(MemorySegment.NULL);
    }

    PageCounts counts() {
        return counts;
    }

    @Override
    public void populated(long offset, long lengthBytes) throws IOException {
        boolean straight = hasView && !plan.looksAtBytes();
        long end = offset + lengthBytes;
        long at = offset;
        while (at < end) {
            if (straight) {
                long length = Math.min(end - at, STEP_BYTES);
                length = Math.min(length, view.reach(at));
                record(at, length);
                writeView(at, length);
                plan.pace.passed(length);
                at += length;
            } else {
                // Steps end at fixed boundaries, so that runs of pages meet the same boundaries in every pass.
                long length = Math.min(end, (at / STEP_BYTES + 1) * STEP_BYTES) - at;
                if (copies) {
                    load(at, length);
                    step(own(), 0, at, (int) length);
                } else {
                    length = Math.min(length, view.reach(at));
                    step(view.memory(), view.at(at), at, (int) length);
                }
                plan.pace.passed(length);
                at += length;
            }
        }
    }

    @Override
    public void empty(long offset, long lengthBytes) throws IOException {
        if (plan.leavesEmpty()) {
            return;
        }
        counts.offered += pages(lengthBytes);
        if (compare.isEmpty()) {
            zeros(offset, lengthBytes);
        } else if (recorded.isEmpty()) {
            compareEmpty(offset, lengthBytes);
        } else {
            emptyAgain(offset, lengthBytes);
        }
    }

    /** Records zeros for pages that an earlier pass recorded, whatever the base has; compares the rest. */
    private void emptyAgain(long offset, long lengthBytes) throws IOException {
        long endPage = offset / pageBytes + pages(lengthBytes);
        long end = offset + lengthBytes;
        long at = offset;
        while (at < end) {
            long page = at / pageBytes;
            long marked = Math.min(end, recorded.get().nextMarked(page, endPage) * pageBytes);
            if (marked > at) {
                compareEmpty(at, marked - at);
                at = marked;
            } else {
                long clear = Math.min(end, recorded.get().nextClear(page, endPage) * pageBytes);
                zeros(at, clear - at);
                at = clear;
            }
        }
    }

    private void compareEmpty(long offset, long lengthBytes) throws IOException {
        long[] told = {offset};
        compare.get().base().populated(offset, lengthBytes, (from, length) -> {
            long start = Math.max(told[0], from - from % pageBytes);
            long end = Math.min(offset + lengthBytes, Math.ceilDiv(from + length, (long) pageBytes) * pageBytes);
            neverPopulated(told[0], start);
            while (start < end) {
                long step = Math.min(end - start, STEP_BYTES);
                becameZero(start, (int) step);
                start += step;
            }
            told[0] = Math.max(told[0], end);
        });
        neverPopulated(told[0], offset + lengthBytes);
    }

    /**
     * Handles a range where neither guest nor base has data: it is equal, unless the base's image lost data that its
     * index knows.
     */
    private void neverPopulated(long from, long to) throws IOException {
        if (index.isEmpty() || to <= from || index.get().isZero(from / pageBytes, pages(to - from))) {
            return;
        }
        for (long at = from; at < to; at += pageBytes) {
            if (!isZeroInBase(at)) {
                zeros(at, Math.min(pageBytes, to - at));
            }
        }
    }

    /** Returns whether a page that is zero in the base's image is zero in its index, too. */
    private boolean isZeroInBase(long offset) throws IOException {
        if (index.isEmpty() || index.get().isZero(offset / pageBytes)) {
            return true;
        }
        counts.damagedInBase++;
        return false;
    }

    private void becameZero(long offset, int lengthBytes) throws IOException {
        compare.get().base().read(offset, ofBase().asSlice(0, lengthBytes));
        int from = 0;
        for (int at = 0; at < lengthBytes; at += pageBytes) {
            int length = Math.min(pageBytes, lengthBytes - at);
            if (Pages.isZero(ofBase(), at, length) && isZeroInBase(offset + at)) {
                if (at > from) {
                    zeros(offset + from, at - from);
                }
                from = at + length;
            }
        }
        if (lengthBytes > from) {
            zeros(offset + from, lengthBytes - from);
        }
    }

    /** Records a run of zeros that was not read. */
    private void zeros(long offset, long lengthBytes) throws IOException {
        long first = offset / pageBytes;
        long count = pages(lengthBytes);
        counts.recorded += count;
        counts.zero += count;
        if (checks.isPresent()) {
            checks.get().checkZero(offset, lengthBytes);
        }
        if (index.isPresent()) {
            index.get().setZero(first, count);
        }
        plan.notes.recorded.accept(offset, lengthBytes);
        plan.notes.zeros.accept(offset, lengthBytes);
        if (plan.leavesHoles() || madeAHole(offset, lengthBytes)) {
            return;
        }
        own().asSlice(0, Math.min(lengthBytes, STEP_BYTES)).fill((byte) 0);
        for (long done = 0; done < lengthBytes;) {
            long length = Math.min(lengthBytes - done, STEP_BYTES);
            writeOwn(0, offset + done, length);
            done += length;
        }
    }

    /**
     * Makes a hole where the guest discarded a long range since an earlier pass, or never populated it: writing zeros
     * would take time and space. Returns whether it did.
     */
    private boolean madeAHole(long offset, long lengthBytes) throws IOException {
        return plan.before.holed().isPresent() && lengthBytes >= smallestHoleBytes(plan.zeros)
                && Extents.punch(plan.before.holed().get(), offset, lengthBytes);
    }

    // Made when first needed: most captures read a view and compare with nothing.
    private MemorySegment own() {
        if (own == null) {
            own = new PageScratch(STEP_BYTES);
        }
        return own.buffer();
    }

    private MemorySegment ofBase() {
        if (ofBase == null) {
            ofBase = new PageScratch(STEP_BYTES);
        }
        return ofBase.buffer();
    }

    /** Frees the buffers. No sink may still be writing from them. */
    void freeBuffers() {
        if (own != null) {
            own.close();
        }
        if (ofBase != null) {
            ofBase.close();
        }
    }

    /**
     * Returns the exception for an error by which the JVM reports that a worker's memory is gone. The error may come
     * well after the copy that caused it, in any code that runs then; nothing that was copied is kept.
     */
    SnapshotException truncated(InternalError error) {
        if (!copies || !hasView) {
            throw error;
        }
        return Truncation.found(loadedBytes, "guest memory", loadedOffset, error);
    }

    private void load(long offset, long lengthBytes) throws IOException {
        loadedOffset = offset;
        loadedBytes = lengthBytes;
        if (!hasView) {
            reader.read(offset, own().asSlice(0, lengthBytes));
            return;
        }
        for (long done = 0; done < lengthBytes;) {
            long length = Math.min(lengthBytes - done, view.reach(offset + done));
            Truncation.copy(view.memory(), view.at(offset + done), own(), done, length,
                    "guest memory", offset + done);
            done += length;
        }
    }

    /** Records a range without examining it. */
    private void record(long offset, long lengthBytes) throws IOException {
        long count = pages(lengthBytes);
        counts.offered += count;
        counts.recorded += count;
        plan.notes.recorded.accept(offset, lengthBytes);
    }

    private void step(MemorySegment memory, long at, long offset, int lengthBytes) throws IOException {
        int pages = (int) pages(lengthBytes);
        counts.offered += pages;
        look(memory, at, offset, lengthBytes, pages);
        if (compare.isPresent()) {
            compare(memory, at, offset, lengthBytes, pages);
        }
        int page = 0;
        while (page < pages) {
            int from = page;
            boolean same = verdicts[page] == SAME;
            while (page < pages && (verdicts[page] == SAME) == same) {
                page++;
            }
            if (!same) {
                recordRun(offset, lengthBytes, from, page);
                writeRun(offset, lengthBytes, from, page);
            }
        }
    }

    private void look(MemorySegment memory, long at, long offset, int lengthBytes, int pages) throws IOException {
        if (index.isPresent() || checks.isPresent()) {
            Pages.crc32cs(memory, at, lengthBytes, pageBytes, checksums);
        }
        if (checks.isPresent()) {
            checks.get().checkSums(offset, checksums, pages);
        }
        long first = offset / pageBytes;
        for (int page = 0; page < pages; page++) {
            boolean mayBeZero = index.isEmpty() || checksums[page] == index.get().zero(first + page);
            int start = page * pageBytes;
            verdicts[page] = mayBeZero && Pages.isZero(memory, at + start, Math.min(pageBytes, lengthBytes - start))
                    ? RECORD_ZERO : RECORD;
        }
    }

    /** Compares with the base: a page with another checksum differs; for the others the bytes decide. */
    private void compare(MemorySegment memory, long at, long offset, int lengthBytes, int pages) throws IOException {
        long first = offset / pageBytes;
        int page = 0;
        while (page < pages) {
            int from = page;
            while (page < pages && mayBeSame(first + page, page)) {
                page++;
            }
            if (page > from) {
                int start = from * pageBytes;
                int end = Math.min(page * pageBytes, lengthBytes);
                compare.get().base().read(offset + start, ofBase().asSlice(0, end - start));
                for (int candidate = from; candidate < page; candidate++) {
                    int position = candidate * pageBytes;
                    int length = Math.min(pageBytes, lengthBytes - position);
                    if (Pages.equal(memory, at + position, ofBase(), position - start, length)) {
                        verdicts[candidate] = SAME;
                    } else if (index.isPresent()) {
                        // The index has this page's checksum, but the base's image has other bytes.
                        counts.damagedInBase++;
                    }
                }
            } else {
                page++;
            }
        }
    }

    private boolean mayBeSame(long page, int inStep) throws IOException {
        if (recorded.isPresent() && recorded.get().test(page)) {
            // The image has what an earlier pass wrote there, and the index its checksum.
            return false;
        }
        return index.isEmpty() || index.get().crc(page) == checksums[inStep];
    }

    private void recordRun(long offset, int lengthBytes, int from, int to) throws IOException {
        if (index.isPresent()) {
            index.get().set(offset / pageBytes + from, checksumsAsMemory.asSlice(
                    (long) from * Integer.BYTES, (long) (to - from) * Integer.BYTES));
        }
        tell(plan.notes.recorded, offset, lengthBytes, from, to);
        counts.recorded += to - from;
        int page = from;
        while (page < to) {
            int start = page;
            while (page < to && verdicts[page] == RECORD_ZERO) {
                page++;
            }
            if (page > start) {
                counts.zero += page - start;
                tell(plan.notes.zeros, offset, lengthBytes, start, page);
            } else {
                page++;
            }
        }
    }

    /** Names pages of a step. */
    private void tell(RangeConsumer ranges, long offset, int lengthBytes, int from, int to) throws IOException {
        long start = (long) from * pageBytes;
        ranges.accept(offset + start, Math.min(lengthBytes, (long) to * pageBytes) - start);
    }

    /** Writes a run of recorded pages, and leaves out runs of zeros that will become holes. */
    private void writeRun(long offset, int lengthBytes, int from, int to) throws IOException {
        int start = from;
        int page = from;
        while (page < to) {
            int zeros = page;
            while (zeros < to && verdicts[zeros] == RECORD_ZERO) {
                zeros++;
            }
            if (zeros - page >= smallestHolePages) {
                writePages(offset, lengthBytes, start, page);
                start = zeros;
            }
            page = Math.max(zeros, page + 1);
        }
        writePages(offset, lengthBytes, start, to);
    }

    private void writePages(long offset, int lengthBytes, int from, int to) throws IOException {
        if (to == from) {
            return;
        }
        long start = (long) from * pageBytes;
        long length = Math.min((long) to * pageBytes, lengthBytes) - start;
        if (copies) {
            writeOwn(start, offset + start, length);
        } else {
            writeView(offset + start, length);
        }
    }

    private void writeOwn(long at, long offset, long lengthBytes) throws IOException {
        sink.copy(own(), at, offset, lengthBytes);
        counts.bytesWritten += lengthBytes;
    }

    private void writeView(long offset, long lengthBytes) throws IOException {
        sink.guest(view.memory(), view.at(offset), offset, lengthBytes);
        counts.bytesWritten += lengthBytes;
    }

    private long pages(long lengthBytes) {
        return Math.ceilDiv(lengthBytes, (long) pageBytes);
    }
}
