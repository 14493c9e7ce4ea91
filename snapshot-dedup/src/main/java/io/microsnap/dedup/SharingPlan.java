package io.microsnap.dedup;

import io.microsnap.core.internal.file.Extents;
import io.microsnap.core.internal.posix.Descriptor;
import java.io.IOException;
import java.util.Arrays;
import java.util.BitSet;

/**
 * Decides which equal pages to share so that the target stays within a number of extents: the longest pieces first. A
 * piece lies in one extent of the canonical image. Sharing splits an extent of the target in which a piece begins or
 * ends, and removes extents that a piece covers.
 */
final class SharingPlan {
    /** A length and a first page, in one number that sorts by length. */
    private static final int PAGE_BITS = 31;
    private static final long PAGE_MASK = (1L << PAGE_BITS) - 1;

    private final PageVerdicts verdicts;
    private final int pageCount;
    private final BitSet canonicalStarts;
    /** Where the target's extents will start. */
    private final BitSet starts;
    private final BitSet shared;
    private long extents;

    private SharingPlan(PageVerdicts verdicts, Descriptor canonical, Descriptor target) throws IOException {
        this.verdicts = verdicts;
        pageCount = Math.toIntExact(verdicts.pageCount());
        canonicalStarts = extentStarts(canonical);
        starts = extentStarts(target);
        extents = starts.cardinality();
        shared = new BitSet(pageCount);
        for (int page = 0; page < pageCount; page = runEnd(page)) {
            if (verdicts.at(page) == Verdict.SHARED) {
                shared.set(page, runEnd(page));
            }
        }
    }

    /**
     * Marks pages as {@linkplain Verdict#DIFFERENT different} if sharing them would leave the target in more extents
     * than this. Marks none where the filesystem does not report extents.
     */
    static void choose(PageVerdicts verdicts, Descriptor canonical, Descriptor target, long mostExtents)
            throws IOException {
        if (mostExtents < Long.MAX_VALUE) {
            new SharingPlan(verdicts, canonical, target).choose(mostExtents);
        }
    }

    private void choose(long mostExtents) {
        long[] pieces = pieces();
        Arrays.sort(pieces);
        for (int index = pieces.length - 1; index >= 0; index--) {
            int first = (int) (pieces[index] & PAGE_MASK);
            int end = first + (int) (pieces[index] >>> PAGE_BITS);
            int more = startsWhenShared(first, end) - startsWithin(first, end);
            if (more <= 0 || extents + more <= mostExtents) {
                share(first, end);
                extents += more;
            } else {
                verdicts.fill(first, end - first, Verdict.DIFFERENT);
            }
        }
    }

    private long[] pieces() {
        long[] pieces = new long[16];
        int count = 0;
        for (int page = 0; page < pageCount;) {
            int end = pieceEnd(page);
            if (end > page) {
                pieces = count < pieces.length ? pieces : Arrays.copyOf(pieces, 2 * count);
                pieces[count++] = (long) (end - page) << PAGE_BITS | page;
            }
            page = Math.max(end, page + 1);
        }
        return Arrays.copyOf(pieces, count);
    }

    /** Returns the end of the piece that begins at this page; the page itself if no piece begins there. */
    private int pieceEnd(int page) {
        int end = page;
        while (end < pageCount && verdicts.at(end).mayBeShared()) {
            end = runEnd(end);
        }
        int cut = canonicalStarts.nextSetBit(page + 1);
        return cut < 0 ? end : Math.min(end, cut);
    }

    private int startsWithin(int first, int end) {
        int count = 0;
        for (int at = starts.nextSetBit(first); at >= 0 && at <= end; at = starts.nextSetBit(at + 1)) {
            count++;
        }
        return count;
    }

    private int startsWhenShared(int first, int end) {
        return (startsAt(first, isShared(first - 1)) ? 1 : 0) + (startsBehind(end) ? 1 : 0);
    }

    private void share(int first, int end) {
        boolean before = startsAt(first, isShared(first - 1));
        boolean behind = startsBehind(end);
        starts.clear(first, end + 1);
        starts.set(first, before);
        starts.set(end, behind);
        shared.set(first, end);
    }

    /** Returns whether an extent starts at a page: two adjacent shared pages lie as they do in the canonical image. */
    private boolean startsAt(int page, boolean follows) {
        return !follows || canonicalStarts.get(page);
    }

    private boolean startsBehind(int end) {
        return end < pageCount && holdsData(end) && startsAt(end, isShared(end));
    }

    private boolean isShared(int page) {
        return page >= 0 && shared.get(page);
    }

    private boolean holdsData(int page) {
        Verdict verdict = verdicts.at(page);
        return verdict != Verdict.ABSENT && verdict != Verdict.CLEARED;
    }

    private int runEnd(int page) {
        return (int) verdicts.runEnd(page, pageCount);
    }

    /** Returns the pages at which extents start; an extent that starts within a page counts as starting there. */
    private BitSet extentStarts(Descriptor file) throws IOException {
        BitSet found = new BitSet(pageCount);
        long length = verdicts.lengthBytes();
        Extents.each(file, (offset, lengthBytes, place) -> {
            if (offset < length) {
                found.set((int) (offset / verdicts.pageBytes()));
            }
        });
        return found;
    }
}
