package io.microsnap.dedup;

import io.microsnap.core.internal.file.ExtentSummary;
import io.microsnap.core.internal.file.Extents;
import io.microsnap.core.internal.file.Reflink;
import io.microsnap.core.internal.posix.Descriptor;
import io.microsnap.core.internal.posix.OperatingSystem;
import io.microsnap.dedup.DedupOutcome.Reason;
import io.microsnap.dedup.DedupReport.SpaceTaken;
import java.io.IOException;
import java.time.Duration;
import java.util.Optional;
import java.util.OptionalInt;
import java.util.OptionalLong;
import java.util.concurrent.locks.LockSupport;

/**
 * One target, one canonical image: compare, decide, share, report. What the two are, and who else uses them, is the
 * caller's to know.
 */
final class PairDedup {
    /** Sharing takes the kernel a call for each run; with shorter runs than this, building a clone is quicker. */
    private static final long SHORT_RUN_BYTES = 64 << 10;
    // Somebody who has the old file open keeps it for longer than anybody wants to wait.
    private static final int RELEASE_ATTEMPTS = 50;
    private static final long RELEASE_NANOS = 1_000_000;

    private final ImagePair pair;
    private final Workplace workplace;
    private final DedupOptions options;
    private final Reflink reflink;
    private final Comparison comparison;
    private final PageVerdicts verdicts;
    private final Pacer pacer;
    private final Steps steps;
    private final long startNanos = System.nanoTime();
    private final OptionalLong freeBefore;
    private final Optional<SpaceTaken> before;
    private Optional<SpaceTaken> after = Optional.empty();
    private OptionalLong freeAfter = OptionalLong.empty();
    private Optional<Engine> engine = Optional.empty();
    private DedupReport.Pages pages = new DedupReport.Pages(0, 0, 0, 0, 0, 0);
    private long comparingNanos;
    private long sharingNanos;
    private long publishingNanos;
    private long sharedBytes;
    private long alreadyShared;

    private PairDedup(ImagePair pair, int pageBytes, Workplace workplace, DedupOptions options, Reflink reflink)
            throws IOException {
        this.pair = pair;
        this.workplace = workplace;
        this.options = options;
        this.reflink = reflink;
        comparison = new Comparison(pair, pageBytes);
        verdicts = comparison.verdicts();
        pacer = new Pacer(options.bytesPerSecond());
        // Comparing is half of the way, sharing the other.
        steps = new Steps(options.progress(), 2 * pair.lengthBytes());
        freeBefore = freeBytes(pair.target());
        before = spaceTaken(pair.target());
    }

    /**
     * Shares what the target has in common with the canonical image.
     *
     * @param canonicalEvidence what is known of the canonical image; and
     * @param targetEvidence of the target: both or none
     * @param workplace where new blocks for the target are made
     */
    static DedupOutcome run(Descriptor canonical, Descriptor target, int pageBytes,
            Optional<IndexEvidence> canonicalEvidence, Optional<IndexEvidence> targetEvidence, Workplace workplace,
            DedupOptions options, Reflink reflink) throws IOException {
        PairDedup dedup;
        try {
            ImagePair pair = ImagePair.of(canonical, target);
            dedup = new PairDedup(pair, pageBytes, workplace, options, reflink);
        } catch (LeaveAlone reason) {
            return new DedupOutcome.LeftAlone(reason.reason(), reason.getMessage(), Optional.empty());
        }
        boolean evidence = canonicalEvidence.isPresent() && targetEvidence.isPresent();
        try {
            dedup.lookWithoutReading();
            if (evidence) {
                dedup.comparison.indexes(canonicalEvidence.get(), targetEvidence.get());
            }
            dedup.share(evidence);
            return new DedupOutcome.Deduplicated(dedup.report());
        } catch (LeaveAlone reason) {
            return new DedupOutcome.LeftAlone(reason.reason(), reason.getMessage(), Optional.of(dedup.report()));
        }
    }

    private void lookWithoutReading() throws IOException {
        comparison.holes();
        comparison.sharedBlocks();
        alreadyShared = verdicts.count(Verdict.SHARED);
        comparingNanos = System.nanoTime() - startNanos;
    }

    private void share(boolean evidence) throws IOException {
        requireEnough();
        boolean inPlace = options.engine().map(asked -> asked == Engine.SHARE_IN_PLACE).orElse(canShareInPlace());
        if (inPlace && !canShareInPlace()) {
            throw new LeaveAlone(Reason.UNSUPPORTED, pair.target() + ": only Linux shares blocks in place");
        }
        if (!inPlace && !workplace.mayReplaceTarget()) {
            throw new LeaveAlone(Reason.IN_USE,
                    pair.target() + " is in use and must stay the same file; share in place instead");
        }
        if (inPlace) {
            shareInPlace(evidence, options.engine().isEmpty() && workplace.mayReplaceTarget());
        } else {
            swap();
        }
    }

    private void shareInPlace(boolean evidence, boolean mayReplace) throws IOException {
        ShareInPlace sharing = new ShareInPlace(pair, comparison, reflink, pacer, options.threads());
        sharing.probe();
        Optional<Sample> sample = evidence || !sharing.mayTry() ? Optional.empty() : clearSample();
        if (sample.isPresent()) {
            engine = Optional.of(Engine.SHARE_IN_PLACE);
            tryBeforeReading(sharing, sample.get().pagesBetweenLooks());
        } else {
            decide(evidence);
            if (mayReplace && pair.targetBefore().links() == 1 && runsAreShort()) {
                swap();
                return;
            }
            engine = Optional.of(Engine.SHARE_IN_PLACE);
        }
        long started = System.nanoTime();
        sharedBytes = sharing.share(workplace, steps);
        if (options.rereads()) {
            // The kernel has compared what it shared, and nothing else has changed.
            pair.requireUnchanged();
        }
        pages = countPages(0);
        steps.atLeast(2 * pair.lengthBytes());
        sharingNanos += System.nanoTime() - started;
        measure(pair.target());
    }

    /** A sample of the two, if it says so clearly what sharing will bring that there is nothing left to decide. */
    private Optional<Sample> clearSample() throws IOException {
        long started = System.nanoTime();
        Sample sample = comparison.sample(pacer);
        comparingNanos += System.nanoTime() - started;
        boolean clear = sample.isClear(options.budget(), canonicalExtents(), pair.lengthBytes());
        return clear ? Optional.of(sample) : Optional.empty();
    }

    /** The kernel compares anyhow: most of what is equal is never read here, only what is near a difference. */
    private void tryBeforeReading(ShareInPlace sharing, OptionalInt pagesBetweenLooks) throws IOException {
        long started = System.nanoTime();
        sharing.tryUnread(pagesBetweenLooks, steps);
        long tried = System.nanoTime();
        sharingNanos += tried - started;
        comparison.bytes(options.threads(), pacer, steps.silent());
        verdicts.giveUpShortRuns(options.budget().shortestRunBytes());
        comparingNanos += System.nanoTime() - tried;
    }

    private long canonicalExtents() throws IOException {
        return Extents.summary(pair.canonical()).map(ExtentSummary::extents).orElse(0L);
    }

    private void swap() throws IOException {
        try (CloneAndSwap clone = CloneAndSwap.begin(pair, reflink, workplace)) {
            // A clone's bytes rest on this comparison alone: what is only said to be in the same blocks is read, too.
            verdicts.replace(0, verdicts.pageCount(), Verdict.SHARED, Verdict.UNREAD);
            decide(false);
            swap(clone);
        }
    }

    private void swap(CloneAndSwap clone) throws IOException {
        engine = Optional.of(Engine.CLONE_AND_SWAP);
        long started = System.nanoTime();
        clone.build(verdicts, pacer, steps);
        pages = countPages(verdicts.count(Verdict.DIFFERENT));
        if (options.rereads()) {
            clone.requireEqual(verdicts.pageBytes(), options.threads(), pacer, steps);
        }
        long built = System.nanoTime();
        sharingNanos += built - started;
        clone.publish();
        sharedBytes = pages.equal() * verdicts.pageBytes();
        steps.atLeast(2 * pair.lengthBytes());
        // The old file has no name any more: with this its blocks go.
        pair.target().close();
        publishingNanos += System.nanoTime() - built;
        awaitRelease(clone.descriptor());
        measure(clone.descriptor());
    }

    /** Until the old file's blocks are really gone, the pages that were taken over from it count as shared. */
    private void awaitRelease(Descriptor file) throws IOException {
        long equalBytes = (pages.equal() + pages.alreadyShared()) * verdicts.pageBytes();
        for (int attempt = 0; attempt < RELEASE_ATTEMPTS && before.isPresent(); attempt++) {
            Allocation.awaitDeferredFrees(file);
            if (spaceTaken(file).orElseThrow().sharedBytes() <= equalBytes) {
                return;
            }
            LockSupport.parkNanos(RELEASE_NANOS);
        }
    }

    /** Compares as far as needed, and decides whether sharing pays. */
    private void decide(boolean indexesSuffice) throws IOException {
        if (!indexesSuffice) {
            long started = System.nanoTime();
            comparison.bytes(options.threads(), pacer, steps);
            comparingNanos += System.nanoTime() - started;
            requireEnough();
        }
        steps.atLeast(pair.lengthBytes());
        verdicts.giveUpShortRuns(options.budget().shortestRunBytes());
        requireEnough();
        long extents = verdicts.sharableRuns() * 2 + canonicalExtents();
        if (!options.budget().allows(extents, pair.lengthBytes())) {
            throw new LeaveAlone(Reason.TOO_FRAGMENTED, pair.target() + " would have about " + extents
                    + " extents, more than " + options.budget().extentsPerGiB() + " for each GiB");
        }
    }

    private void requireEnough() throws LeaveAlone {
        pages = countPages(0);
        long equal = verdicts.count(Verdict.EQUAL) + verdicts.count(Verdict.UNREAD)
                + verdicts.count(Verdict.UNREAD_AGAINST_HOLE);
        long shared = verdicts.count(Verdict.SHARED);
        long data = equal + shared + verdicts.count(Verdict.DIFFERENT);
        if (options.budget().isEnough(equal * verdicts.pageBytes(), data * verdicts.pageBytes())) {
            return;
        }
        if (options.budget().isEnough((equal + shared) * verdicts.pageBytes(), data * verdicts.pageBytes())) {
            throw new LeaveAlone(Reason.ALREADY_SHARED, pair.target() + " shares " + shared + " of its " + data
                    + " pages of data with " + pair.canonical() + " already, and could share " + equal + " more");
        }
        throw new LeaveAlone(Reason.TOO_FEW_EQUAL, pair.target() + " has " + equal + " of its " + data
                + " pages of data in common with " + pair.canonical() + ", less than " + options.budget().leastPercent()
                + " %");
    }

    private boolean runsAreShort() {
        long sharable = verdicts.count(Verdict.EQUAL) + verdicts.count(Verdict.UNREAD)
                + verdicts.count(Verdict.UNREAD_AGAINST_HOLE);
        return sharable * verdicts.pageBytes() < verdicts.sharableRuns() * SHORT_RUN_BYTES;
    }

    private boolean canShareInPlace() {
        return pair.target().posix().constants().operatingSystem() == OperatingSystem.LINUX;
    }

    private DedupReport.Pages countPages(long written) {
        long equal = verdicts.count(Verdict.EQUAL) + verdicts.count(Verdict.UNREAD)
                + verdicts.count(Verdict.UNREAD_AGAINST_HOLE);
        long all = equal + verdicts.count(Verdict.SHARED);
        return new DedupReport.Pages(verdicts.pageCount(), comparison.readPages(), Math.min(all, alreadyShared),
                all - Math.min(all, alreadyShared), verdicts.count(Verdict.DIFFERENT), written);
    }

    private void measure(Descriptor file) throws IOException {
        after = spaceTaken(file);
        freeAfter = freeBytes(file);
    }

    private DedupReport report() {
        DedupReport.Time time = new DedupReport.Time(Duration.ofNanos(comparingNanos), Duration.ofNanos(sharingNanos),
                Duration.ofNanos(publishingNanos), Duration.ofNanos(System.nanoTime() - startNanos));
        return new DedupReport(engine, Optional.empty(), pair.lengthBytes(), verdicts.pageBytes(), pages, sharedBytes,
                before, after, freeBefore, freeAfter, time);
    }

    private Optional<SpaceTaken> spaceTaken(Descriptor file) throws IOException {
        if (options.accounting() == Accounting.PAGES) {
            return Optional.empty();
        }
        Optional<ExtentSummary> summary = Extents.summary(file);
        long allocated = file.status().allocatedBytes();
        return summary.map(extents -> new SpaceTaken(
                allocated, extents.exclusiveBytes(), extents.sharedBytes(), extents.extents()));
    }

    private OptionalLong freeBytes(Descriptor file) throws IOException {
        if (options.accounting() != Accounting.FREE_SPACE) {
            return OptionalLong.empty();
        }
        return OptionalLong.of(Allocation.freeBytesAfterSync(file));
    }
}
