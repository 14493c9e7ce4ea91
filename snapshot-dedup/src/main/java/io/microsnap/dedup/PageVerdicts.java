package io.microsnap.dedup;

import java.io.IOException;
import java.lang.foreign.Arena;
import java.lang.foreign.MemorySegment;
import java.lang.foreign.ValueLayout;

/**
 * One verdict a page, off-heap, at first {@link Verdict#ABSENT} for all. Threads may fill different pages at the same
 * time.
 */
final class PageVerdicts {
    private final MemorySegment verdicts;
    private final long lengthBytes;
    private final int pageBytes;
    private final long pageCount;

    PageVerdicts(long lengthBytes, int pageBytes) {
        this.lengthBytes = lengthBytes;
        this.pageBytes = pageBytes;
        pageCount = Math.ceilDiv(lengthBytes, (long) pageBytes);
        verdicts = Arena.ofAuto().allocate(pageCount);
        fill(0, pageCount, Verdict.ABSENT);
    }

    /** Takes runs of pages that have one verdict, as ranges of bytes, the last one clipped to the image. */
    @FunctionalInterface
    interface RunConsumer {
        void accept(Verdict verdict, long offset, long lengthBytes) throws IOException;
    }

    long pageCount() {
        return pageCount;
    }

    int pageBytes() {
        return pageBytes;
    }

    long lengthBytes() {
        return lengthBytes;
    }

    Verdict at(long page) {
        return Verdict.of(verdicts.get(ValueLayout.JAVA_BYTE, page));
    }

    void fill(long firstPage, long count, Verdict verdict) {
        verdicts.asSlice(firstPage, count).fill(verdict.code());
    }

    /**
     * Replaces one verdict by another in a run of pages. A count below 1 means no page, because a range of bytes may
     * contain no whole page.
     */
    void replace(long firstPage, long count, Verdict from, Verdict to) {
        long end = firstPage + count;
        for (long page = firstPage; page < end; page++) {
            if (verdicts.get(ValueLayout.JAVA_BYTE, page) == from.code()) {
                verdicts.set(ValueLayout.JAVA_BYTE, page, to.code());
            }
        }
    }

    /** Returns the first page after this one that has another verdict, at most the limit. */
    long runEnd(long page, long limit) {
        byte verdict = verdicts.get(ValueLayout.JAVA_BYTE, page);
        long end = page + 1;
        long pattern = (verdict & 0xFFL) * 0x0101010101010101L;
        while (end + Long.BYTES <= limit && verdicts.get(ValueLayout.JAVA_LONG_UNALIGNED, end) == pattern) {
            end += Long.BYTES;
        }
        while (end < limit && verdicts.get(ValueLayout.JAVA_BYTE, end) == verdict) {
            end++;
        }
        return end;
    }

    /** Names every run, one after another. */
    void runs(RunConsumer runs) throws IOException {
        for (long page = 0; page < pageCount;) {
            long end = runEnd(page, pageCount);
            runs.accept(at(page), offset(page), offset(end) - offset(page));
            page = end;
        }
    }

    /** Returns the offset at which a page starts; for the page count, the end of the image. */
    long offset(long page) {
        return Math.min(page * pageBytes, lengthBytes);
    }

    /** Returns how many pages have this verdict. */
    long count(Verdict verdict) {
        long count = 0;
        for (long page = 0; page < pageCount;) {
            long end = runEnd(page, pageCount);
            count += at(page) == verdict ? end - page : 0;
            page = end;
        }
        return count;
    }
}
