package io.microsnap.dedup;

import io.microsnap.core.RangeConsumer;
import io.microsnap.core.file.DedupeOutcome;
import io.microsnap.core.file.ExtentSummary;
import io.microsnap.core.file.Extents;
import io.microsnap.core.file.Reflink;
import io.microsnap.core.posix.Descriptor;
import io.microsnap.dedup.DedupOutcome.Reason;
import java.io.IOException;
import java.util.HashSet;
import java.util.Set;

/**
 * Has the kernel share what is equal, range by range. It compares once more itself, so what is written meanwhile is
 * safe, and what indexes or a sample promise need not be read here at all: only where the kernel finds a difference.
 */
final class ShareInPlace {
    /** Both files are locked while the kernel works on a piece: short enough that a restored guest does not notice. */
    private static final long PIECE_BYTES = 4L << 20;
    /** Where differences are to be expected: most pieces have none. */
    private static final long GUESSED_PIECE_BYTES = 1L << 20;

    private final ImagePair pair;
    private final Comparison comparison;
    private final Reflink reflink;
    private final Pacer pacer;
    private final DedupOptions options;
    private final long blockBytes;
    private final boolean freesWholeExtentsOnly;
    private long pieceBytes = PIECE_BYTES;
    private long sharedBytes;
    private long toldUntil;

    ShareInPlace(ImagePair pair, Comparison comparison, Reflink reflink, Pacer pacer, DedupOptions options)
            throws IOException {
        this.pair = pair;
        this.comparison = comparison;
        this.reflink = reflink;
        this.pacer = pacer;
        this.options = options;
        Allocation allocation = Allocation.of(pair.target());
        blockBytes = allocation.blockBytes();
        freesWholeExtentsOnly = allocation.freesWholeExtentsOnly();
    }

    /** Finds out, on one block, whether these two files can share at all: before anybody reads them. */
    void probe() throws IOException {
        PageVerdicts verdicts = comparison.verdicts();
        for (long page = 0; page < verdicts.pageCount(); page = verdicts.runEnd(page, verdicts.pageCount())) {
            if (verdicts.at(page).mayBeShared()) {
                long from = alignedUp(verdicts.offset(page));
                share(from, Math.min(from + blockBytes, pair.lengthBytes()));
                return;
            }
        }
    }

    /**
     * Whether a sample of the two says so clearly what sharing will bring that the rest need not be read. Where pages
     * must be moved out of the way, all of those must be known.
     */
    boolean needsNoReading() throws IOException {
        if (freesWholeExtentsOnly) {
            return false;
        }
        long canonicalExtents = Extents.summary(pair.canonical()).map(ExtentSummary::extents).orElse(0L);
        boolean clear = comparison.sample(pacer).isClear(options.budget(), canonicalExtents, pair.lengthBytes());
        pieceBytes = clear ? GUESSED_PIECE_BYTES : PIECE_BYTES;
        return clear;
    }

    /** Shares all that the verdicts do not rule out; returns how many bytes came to be shared. */
    long share(Workplace workplace, Steps steps) throws IOException {
        long before = sharedBytes;
        if (freesWholeExtentsOnly) {
            workplace.withScratchFile(scratch -> shareAndMoveOutOfTheWay(scratch, steps));
        } else {
            shareRuns(steps);
        }
        return sharedBytes - before;
    }

    /**
     * Gives pages that will not be shared new extents, where their old ones hold pages that will be: otherwise a few of
     * them would keep all the others' blocks. The kernel compares these, too. They are copied while others are shared.
     */
    private void shareAndMoveOutOfTheWay(Descriptor scratch, Steps steps) throws IOException {
        scratch.truncate(pair.lengthBytes());
        // What is shared in the middle of an extent shows as extents of its own: the parts are known by their distance.
        Set<Long> willBeShared = new HashSet<>();
        eachExtent((offset, end, distance) -> {
            if (mayBeShared(offset, end)) {
                willBeShared.add(distance);
            }
        });
        Thread sharing = Thread.currentThread();
        Crew crew = new Crew(Math.min(2, options.threads()));
        crew.run(() -> {
            if (Thread.currentThread() == sharing) {
                shareRuns(steps);
            } else {
                copyOutOfTheWay(scratch, willBeShared, steps);
            }
        });
        if (options.threads() == 1) {
            copyOutOfTheWay(scratch, willBeShared, steps);
        }
        Extents.data(scratch, (offset, lengthBytes) ->
                reflink.dedupeRange(scratch, offset, pair.target(), offset, lengthBytes));
    }

    private void copyOutOfTheWay(Descriptor scratch, Set<Long> willBeShared, Steps steps) throws IOException {
        try (RangeCopy copy = new RangeCopy(pair.target(), scratch, pacer)) {
            eachExtent((offset, end, distance) -> {
                if (willBeShared.contains(distance)) {
                    eachDifferent(offset, end, (from, length) -> copy.copy(from, length, steps.silent()));
                }
            });
        }
        // Only what lies on the device can be shared: the kernel would do the same later, with the target locked.
        scratch.syncData();
    }

    /** The distance is that between an extent's place and its offset; of one without a place, no other has it. */
    private void eachExtent(Extents.ExtentConsumer extents) throws IOException {
        Extents.each(pair.target(), (offset, lengthBytes, place) -> {
            long end = Math.min(offset + lengthBytes, pair.lengthBytes());
            if (offset < end) {
                extents.accept(offset, end, place < 0 ? Long.MIN_VALUE + offset : place - offset);
            }
        });
    }

    private boolean mayBeShared(long offset, long end) {
        PageVerdicts verdicts = comparison.verdicts();
        boolean shared = false;
        for (long page = offset / verdicts.pageBytes(); verdicts.offset(page) < end;) {
            shared |= verdicts.at(page).mayBeShared();
            page = verdicts.runEnd(page, verdicts.pageCount());
        }
        return shared;
    }

    private void eachDifferent(long offset, long end, RangeConsumer ranges) throws IOException {
        PageVerdicts verdicts = comparison.verdicts();
        for (long page = offset / verdicts.pageBytes(); verdicts.offset(page) < end;) {
            long stop = verdicts.runEnd(page, verdicts.pageCount());
            if (verdicts.at(page) == Verdict.DIFFERENT) {
                long from = Math.max(offset, verdicts.offset(page));
                ranges.accept(from, Math.min(end, verdicts.offset(stop)) - from);
            }
            page = stop;
        }
    }

    private void shareRuns(Steps steps) throws IOException {
        PageVerdicts verdicts = comparison.verdicts();
        long pieceStart = -1;
        for (long page = 0; page < verdicts.pageCount();) {
            long end = verdicts.runEnd(page, verdicts.pageCount());
            if (verdicts.at(page).mayBeShared()) {
                pieceStart = pieceStart < 0 ? page : pieceStart;
            } else if (pieceStart >= 0) {
                shareRun(pieceStart, page, steps);
                pieceStart = -1;
            }
            page = end;
        }
        if (pieceStart >= 0) {
            shareRun(pieceStart, verdicts.pageCount(), steps);
        }
    }

    private void shareRun(long firstPage, long endPage, Steps steps) throws IOException {
        PageVerdicts verdicts = comparison.verdicts();
        long from = alignedUp(verdicts.offset(firstPage));
        long end = alignedDown(verdicts.offset(endPage));
        for (long at = from; at < end;) {
            long stop = Math.min(at + pieceBytes, end);
            // What was compared before is still in memory.
            if (stop < end && verdicts.at(stop / verdicts.pageBytes()).isUnread()) {
                Comparison.willNeed(pair.canonical(), stop, Math.min(pieceBytes, end - stop));
                Comparison.willNeed(pair.target(), stop, Math.min(pieceBytes, end - stop));
            }
            pacer.await(2 * (stop - at));
            if (!share(at, stop)) {
                shareAfterReading(at, stop);
            }
            steps.did(stop - Math.max(at, toldUntil));
            toldUntil = stop;
            at = stop;
        }
    }

    /** Nobody had looked, the indexes were wrong, or somebody wrote: look for what is equal now. */
    private void shareAfterReading(long from, long end) throws IOException {
        PageVerdicts verdicts = comparison.verdicts();
        int pageBytes = verdicts.pageBytes();
        long first = from / pageBytes;
        long last = Math.ceilDiv(end, (long) pageBytes);
        verdicts.replace(first, last - first, Verdict.EQUAL, Verdict.UNREAD);
        verdicts.replace(first, last - first, Verdict.UNREAD_AGAINST_HOLE, Verdict.UNREAD);
        comparison.bytes(first, last, pacer);
        verdicts.giveUpShortRuns(first, last, options.budget().shortestRunBytes());
        for (long page = first; page < last;) {
            long stop = verdicts.runEnd(page, last);
            if (verdicts.at(page) == Verdict.EQUAL) {
                long start = Math.max(from, alignedUp(verdicts.offset(page)));
                long until = Math.min(end, alignedDown(verdicts.offset(stop)));
                if (start < until && !share(start, until)) {
                    verdicts.fill(page, stop - page, Verdict.DIFFERENT);
                }
            }
            page = stop;
        }
    }

    /** Returns whether the kernel found the whole range equal. */
    private boolean share(long from, long end) throws IOException {
        DedupeOutcome outcome = reflink.dedupeRange(pair.canonical(), from, pair.target(), from, end - from);
        sharedBytes += outcome.sharedBytes();
        return switch (outcome) {
            case DedupeOutcome.Shared shared -> true;
            case DedupeOutcome.Different different -> false;
            case DedupeOutcome.Unsupported unsupported -> throw new LeaveAlone(Reason.UNSUPPORTED,
                    pair.target() + " and " + pair.canonical() + " cannot share blocks: " + unsupported.reason());
        };
    }

    private long alignedUp(long offset) {
        return Math.ceilDiv(offset, blockBytes) * blockBytes;
    }

    /** The end of the file counts as a block's end. */
    private long alignedDown(long offset) {
        return offset == pair.lengthBytes() ? offset : offset / blockBytes * blockBytes;
    }
}
