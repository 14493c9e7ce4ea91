package io.microsnap.dedup;

import io.microsnap.core.internal.file.Extents;
import io.microsnap.core.internal.file.Pages;
import io.microsnap.core.internal.posix.Descriptor;
import io.microsnap.core.internal.work.Workers;
import io.microsnap.dedup.DedupOutcome.Reason;
import io.microsnap.dedup.internal.IndexEvidence;
import io.microsnap.dedup.internal.Steps;
import java.io.IOException;
import java.lang.foreign.Arena;
import java.lang.foreign.MemorySegment;
import java.lang.foreign.ValueLayout;
import java.util.Collections;
import java.util.concurrent.atomic.AtomicLong;

/**
 * Finds out, page by page, what the target has in common with the canonical image: first from cheap sources (holes,
 * blocks, indexes), then by reading the pages that those leave open. The result is in the {@link PageVerdicts}.
 *
 * <p>Files are read into private buffers, so that a file that shrinks meanwhile causes an exception and not a signal.
 */
final class Comparison {
    /** The length that a thread takes at a time, and that is read ahead. */
    private static final long PIECE_BYTES = 4L << 20;
    /** A piece that takes longer was not in memory; advice about one in memory costs a tenth of comparing it. */
    private static final long IN_MEMORY_NANOS = 2_000_000;
    /** The length that is read and compared at a time: both sides stay in the processor's cache. */
    private static final long WINDOW_BYTES = 128L << 10;
    private static final int ENTRIES_AT_A_TIME = 8192;

    private final ImagePair pair;
    private final PageVerdicts verdicts;
    private final AtomicLong readPages = new AtomicLong();
    private Reading alone;

    Comparison(ImagePair pair, int pageBytes) {
        this.pair = pair;
        verdicts = new PageVerdicts(pair.lengthBytes(), pageBytes);
    }

    PageVerdicts verdicts() {
        return verdicts;
    }

    /** Returns how many pages were read so far. */
    long readPages() {
        return readPages.get();
    }

    /** Leaves open only where the target has data. */
    void holes() throws IOException {
        Extents.data(pair.target(), 0, pair.lengthBytes(), (offset, lengthBytes) ->
                verdicts.fill(firstPage(offset), pages(offset, lengthBytes), Verdict.UNREAD));
        long[] seen = {0};
        Extents.data(pair.canonical(), 0, pair.lengthBytes(), (offset, lengthBytes) -> {
            long first = firstPage(offset);
            verdicts.replace(seen[0], first - seen[0], Verdict.UNREAD, Verdict.UNREAD_AGAINST_HOLE);
            seen[0] = first + pages(offset, lengthBytes);
            verdicts.replace(first, seen[0] - first, Verdict.ABSENT, Verdict.CLEARED);
        });
        verdicts.replace(seen[0], verdicts.pageCount() - seen[0], Verdict.UNREAD, Verdict.UNREAD_AGAINST_HOLE);
    }

    /** Finds pages in the same blocks. */
    void sharedBlocks() throws IOException {
        Extents.inCommon(pair.canonical(), pair.target(), (offset, lengthBytes) -> {
            long first = Math.ceilDiv(offset, (long) verdicts.pageBytes());
            long end = offset + lengthBytes >= pair.lengthBytes()
                    ? verdicts.pageCount() : (offset + lengthBytes) / verdicts.pageBytes();
            verdicts.replace(first, end - first, Verdict.UNREAD, Verdict.SHARED);
        });
    }

    /** Rules out pages whose checksums differ. Equal checksums prove nothing: those pages must be compared. */
    void indexes(IndexEvidence canonical, IndexEvidence target) throws IOException {
        try (Arena arena = Arena.ofConfined()) {
            MemorySegment left = arena.allocate((long) ENTRIES_AT_A_TIME * Integer.BYTES, Integer.BYTES);
            MemorySegment right = arena.allocate((long) ENTRIES_AT_A_TIME * Integer.BYTES, Integer.BYTES);
            for (long page = 0; page < verdicts.pageCount();) {
                long end = verdicts.runEnd(page, verdicts.pageCount());
                if (verdicts.at(page).isUnread()) {
                    end = Math.min(end, page + ENTRIES_AT_A_TIME);
                    end = target.runEnd(page, end);
                    if (target.holds(page)) {
                        indexes(canonical, target, page, end, left, right);
                    }
                }
                page = end;
            }
        }
    }

    private void indexes(IndexEvidence canonical, IndexEvidence target, long first, long end, MemorySegment left,
            MemorySegment right) throws IOException {
        MemorySegment targets = right.asSlice(0, (end - first) * Integer.BYTES);
        target.index().crcs(first, targets);
        if (verdicts.at(first) == Verdict.UNREAD_AGAINST_HOLE) {
            for (long page = first; page < end; page++) {
                if (entry(targets, page - first) != target.index().zero(page)) {
                    verdicts.fill(page, 1, Verdict.DIFFERENT);
                }
            }
            return;
        }
        for (long page = first; page < end;) {
            long stop = canonical.runEnd(page, end);
            if (canonical.holds(page)) {
                MemorySegment canonicals = left.asSlice(0, (stop - page) * Integer.BYTES);
                canonical.index().crcs(page, canonicals);
                differing(page, canonicals, targets.asSlice((page - first) * Integer.BYTES, canonicals.byteSize()));
            }
            page = stop;
        }
    }

    private void differing(long first, MemorySegment left, MemorySegment right) {
        long at = left.mismatch(right);
        if (at < 0) {
            return;
        }
        for (long index = at / Integer.BYTES; index < left.byteSize() / Integer.BYTES; index++) {
            if (entry(left, index) != entry(right, index)) {
                verdicts.fill(first + index, 1, Verdict.DIFFERENT);
            }
        }
    }

    private static int entry(MemorySegment entries, long index) {
        return entries.get(ValueLayout.JAVA_INT, index * Integer.BYTES);
    }

    /** Reads the pages that are still open in a range. For one thread. */
    void bytes(long firstPage, long endPage, Pacer pacer) throws IOException {
        if (alone == null) {
            alone = new Reading(pacer);
        }
        alone.piece(firstPage, endPage);
    }

    /** Reads all pages that are still open. */
    void bytes(int threads, Pacer pacer, Steps steps) throws IOException {
        AtomicLong next = new AtomicLong();
        long end = pair.lengthBytes();
        int members = (int) Math.min(threads, Math.ceilDiv(end, PIECE_BYTES));
        try (Workers workers = Workers.started("compare", members - 1)) {
            // One may wait for its turn to read, and at a low rate that is long.
            workers.runInterruptibly(Collections.nCopies(members, () -> {
                Reading reading = new Reading(pacer);
                boolean waits = true;
                while (!workers.failed()) {
                    long from = next.getAndAdd(PIECE_BYTES);
                    if (from >= end) {
                        return;
                    }
                    if (waits) {
                        readAhead(from + members * PIECE_BYTES, end);
                    }
                    long to = Math.min(from + PIECE_BYTES, end);
                    long started = System.nanoTime();
                    reading.piece(firstPage(from), firstPage(to - 1) + 1);
                    waits = System.nanoTime() - started > IN_MEMORY_NANOS;
                    steps.did(to - from);
                }
            }));
        }
    }

    /** Makes the kernel fetch the next pages while the present ones are compared. */
    private void readAhead(long from, long end) {
        if (from >= end) {
            return;
        }
        long page = firstPage(from);
        long last = firstPage(Math.min(from + PIECE_BYTES, end) - 1) + 1;
        while (page < last) {
            long stop = verdicts.runEnd(page, last);
            if (verdicts.at(page).isUnread()) {
                long length = verdicts.offset(stop) - verdicts.offset(page);
                willNeed(pair.target(), verdicts.offset(page), length);
                if (verdicts.at(page) != Verdict.UNREAD_AGAINST_HOLE) {
                    willNeed(pair.canonical(), verdicts.offset(page), length);
                }
            }
            page = stop;
        }
    }

    static void willNeed(Descriptor file, long offset, long lengthBytes) {
        // Only advice: a failure does not matter.
        int advice = file.posix().constants().POSIX_FADV_WILLNEED;
        file.posix().posix_fadvise(file.number(), offset, lengthBytes, advice);
    }

    private long firstPage(long offset) {
        return offset / verdicts.pageBytes();
    }

    /** Returns how many pages a range touches. */
    private long pages(long offset, long lengthBytes) {
        return firstPage(offset + lengthBytes - 1) + 1 - firstPage(offset);
    }

    /** One thread's buffers. */
    private final class Reading {
        private final Pacer pacer;
        private final long windowPages = Math.max(1, WINDOW_BYTES / verdicts.pageBytes());
        private final MemorySegment canonicalBytes;
        private final MemorySegment targetBytes;

        Reading(Pacer pacer) {
            this.pacer = pacer;
            Arena arena = Arena.ofAuto();
            canonicalBytes = arena.allocate(windowPages * verdicts.pageBytes(), verdicts.pageBytes());
            targetBytes = arena.allocate(windowPages * verdicts.pageBytes(), verdicts.pageBytes());
        }

        void piece(long firstPage, long endPage) throws IOException {
            for (long page = firstPage; page < endPage;) {
                long end = verdicts.runEnd(page, Math.min(endPage, page + windowPages));
                Verdict verdict = verdicts.at(page);
                if (verdict.isUnread()) {
                    readPages.addAndGet(end - page);
                    if (verdict == Verdict.UNREAD_AGAINST_HOLE) {
                        compareWithZeros(page, end);
                    } else {
                        compare(page, end);
                    }
                }
                page = end;
            }
        }

        private void compare(long first, long end) throws IOException {
            long length = verdicts.offset(end) - verdicts.offset(first);
            pacer.await(2 * length);
            MemorySegment left = read(pair.canonical(), first, length, canonicalBytes, Reason.CANONICAL_CHANGED);
            MemorySegment right = read(pair.target(), first, length, targetBytes, Reason.TARGET_CHANGED);
            if (pair.target().posix().memcmp(left, right) == 0) {
                verdicts.fill(first, end - first, Verdict.EQUAL);
                return;
            }
            int pageBytes = verdicts.pageBytes();
            for (long page = first; page < end; page++) {
                long at = (page - first) * pageBytes;
                boolean equal = Pages.equal(left, at, right, at, Math.min(pageBytes, length - at));
                verdicts.fill(page, 1, equal ? Verdict.EQUAL : Verdict.DIFFERENT);
            }
        }

        private void compareWithZeros(long first, long end) throws IOException {
            long length = verdicts.offset(end) - verdicts.offset(first);
            pacer.await(length);
            MemorySegment bytes = read(pair.target(), first, length, targetBytes, Reason.TARGET_CHANGED);
            int pageBytes = verdicts.pageBytes();
            for (long page = first; page < end; page++) {
                long at = (page - first) * pageBytes;
                boolean zero = Pages.isZero(bytes, at, Math.min(pageBytes, length - at));
                verdicts.fill(page, 1, zero ? Verdict.EQUAL : Verdict.DIFFERENT);
            }
        }

        private MemorySegment read(Descriptor file, long page, long length, MemorySegment buffer, Reason ifShorter)
                throws IOException {
            MemorySegment wanted = buffer.asSlice(0, length);
            if (file.read(wanted, verdicts.offset(page)) < length) {
                throw new NotDeduplicatedException(ifShorter, file + " was shortened while it was compared");
            }
            return wanted;
        }
    }
}
