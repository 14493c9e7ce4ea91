package io.microsnap.dedup;

import io.microsnap.core.RangeConsumer;
import io.microsnap.core.internal.file.DedupeOutcome;
import io.microsnap.core.internal.file.Extents;
import io.microsnap.core.internal.file.Reflink;
import io.microsnap.core.internal.posix.Descriptor;
import io.microsnap.core.internal.work.Workers;
import io.microsnap.dedup.DedupOutcome.Reason;
import io.microsnap.dedup.internal.Steps;
import java.io.IOException;
import java.util.HashSet;
import java.util.List;
import java.util.Set;

/**
 * Makes the kernel share equal ranges. The kernel compares them itself, so concurrent writes are safe, and pages that
 * are probably equal by indexes need not be read here first.
 */
final class ShareInPlace {
    /** The kernel locks both files while it works on a piece: short enough that a restored guest does not notice. */
    private static final long PIECE_BYTES = 4L << 20;

    private final ImagePair pair;
    private final Comparison comparison;
    private final Reflink reflink;
    private final Pacer pacer;
    private final int threads;
    private final long blockBytes;
    private final boolean freesWholeExtentsOnly;
    private long sharedBytes;

    ShareInPlace(ImagePair pair, Comparison comparison, Reflink reflink, Pacer pacer, int threads)
            throws IOException {
        this.pair = pair;
        this.comparison = comparison;
        this.reflink = reflink;
        this.pacer = pacer;
        this.threads = threads;
        Allocation allocation = Allocation.of(pair.target());
        blockBytes = allocation.blockBytes();
        freesWholeExtentsOnly = allocation.freesWholeExtentsOnly();
    }

    /** Tests with one block, before any reading, whether these two files can share at all. */
    void probe() throws IOException {
        PageVerdicts verdicts = comparison.verdicts();
        for (long page = 0; page < verdicts.pageCount(); page = verdicts.runEnd(page, verdicts.pageCount())) {
            if (verdicts.at(page).mayBeShared()) {
                long from = alignedUp(verdicts.offset(page));
                share(from, Math.min(from + blockBytes, pair.lengthBytes()));
                // The block will be shared once more, together with those around it.
                sharedBytes = 0;
                return;
            }
        }
    }

    /** Shares all pages that the verdicts do not rule out; returns how many bytes were newly shared. */
    long share(Workplace workplace, Steps steps) throws IOException {
        if (freesWholeExtentsOnly) {
            workplace.withScratchFile(scratch -> shareAndMoveOutOfTheWay(scratch, steps));
        } else {
            shareRuns(steps);
        }
        return sharedBytes;
    }

    /**
     * Moves pages that will not be shared into new extents if their old ones also hold pages that will be: otherwise a
     * few such pages would keep all the others' blocks allocated. The kernel compares the moved pages, too. They are
     * copied while others are shared.
     */
    private void shareAndMoveOutOfTheWay(Descriptor scratch, Steps steps) throws IOException {
        scratch.truncate(pair.lengthBytes());
        // A shared middle part splits an extent into several; equal distances identify the parts.
        Set<Long> willBeShared = new HashSet<>();
        eachExtent((offset, end, distance) -> {
            if (mayBeShared(offset, end)) {
                willBeShared.add(distance);
            }
        });
        if (threads == 1) {
            shareRuns(steps);
            copyOutOfTheWay(scratch, willBeShared, steps);
        } else {
            try (Workers workers = Workers.started("copy", 1)) {
                workers.runInterruptibly(List.of(() -> shareRuns(steps),
                        () -> copyOutOfTheWay(scratch, willBeShared, steps)));
            }
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
        // Only data on the device can be shared: the kernel would write it later, with the target locked.
        scratch.syncData();
    }

    /**
     * Names the extents with the distance between place and offset; without a place this is -1, which no other extent
     * has.
     */
    private void eachExtent(Extents.ExtentConsumer extents) throws IOException {
        Extents.each(pair.target(), (offset, lengthBytes, place) -> {
            long end = Math.min(offset + lengthBytes, pair.lengthBytes());
            if (offset < end) {
                extents.accept(offset, end, place - offset);
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
            long stop = Math.min(at + PIECE_BYTES, end);
            // The kernel compares page by page, and would wait for each; what was compared here is still in memory.
            if (stop < end && verdicts.at(stop / verdicts.pageBytes()).isUnread()) {
                long aheadBytes = Math.min(PIECE_BYTES, end - stop);
                Comparison.willNeed(pair.canonical(), stop, aheadBytes);
                Comparison.willNeed(pair.target(), stop, aheadBytes);
            }
            pacer.await(2 * (stop - at));
            if (!share(at, stop)) {
                shareAfterReading(at, stop);
            }
            steps.did(stop - at);
            at = stop;
        }
    }

    /** Compares again and shares what is equal now, because the indexes were wrong or a file was written. */
    private void shareAfterReading(long from, long end) throws IOException {
        PageVerdicts verdicts = comparison.verdicts();
        int pageBytes = verdicts.pageBytes();
        long first = from / pageBytes;
        long last = Math.ceilDiv(end, (long) pageBytes);
        verdicts.replace(first, last - first, Verdict.EQUAL, Verdict.UNREAD);
        verdicts.replace(first, last - first, Verdict.UNREAD_AGAINST_HOLE, Verdict.UNREAD);
        comparison.bytes(first, last, pacer);
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
            case DedupeOutcome.Unsupported unsupported -> throw new NotDeduplicatedException(Reason.UNSUPPORTED,
                    pair.target() + " and " + pair.canonical() + " cannot share blocks: " + unsupported.reason());
        };
    }

    private long alignedUp(long offset) {
        return Math.ceilDiv(offset, blockBytes) * blockBytes;
    }

    /** Rounds down to a block; the end of the file counts as a block's end. */
    private long alignedDown(long offset) {
        return offset == pair.lengthBytes() ? offset : offset / blockBytes * blockBytes;
    }
}
