package io.microsnap.dedup;

import io.microsnap.core.internal.file.DedupeOutcome;
import io.microsnap.core.internal.file.ExtentSummary;
import io.microsnap.core.internal.file.Extents;
import io.microsnap.core.internal.file.Reflink;
import io.microsnap.core.internal.posix.Descriptor;
import io.microsnap.core.internal.posix.OperatingSystem;
import io.microsnap.dedup.DedupOutcome.Reason;
import io.microsnap.dedup.DedupReport.SpaceTaken;
import io.microsnap.dedup.internal.IndexEvidence;
import io.microsnap.dedup.internal.Steps;
import java.io.IOException;
import java.time.Duration;
import java.util.Optional;
import java.util.OptionalLong;
import java.util.concurrent.locks.LockSupport;

/**
 * Deduplicates one target with one canonical image: compares, decides, shares, reports. The caller knows what the two
 * are, and which other processes use them.
 */
final class PairDedup {
    // A process that is just being forked has the old file open, too, until it runs its program.
    private static final int RELEASE_ATTEMPTS = 1000;
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
        // Comparing is one half of the work, sharing the other.
        steps = new Steps(options.progress(), 2 * pair.lengthBytes());
        freeBefore = freeBytes(pair.target());
        before = spaceTaken(pair.target());
    }

    /** The store's indexes of both images. */
    record Evidence(IndexEvidence canonical, IndexEvidence target) {
    }

    /** Two images, and the facts about them that need no reading. */
    record Images(Descriptor canonical, Descriptor target, int pageBytes, Optional<Evidence> evidence) {
    }

    @FunctionalInterface
    private interface Work {
        void on(PairDedup dedup) throws IOException;
    }

    /**
     * Shares the content that the target has in common with the canonical image.
     *
     * @param workplace makes new files and blocks for the target
     */
    static DedupOutcome run(Images images, Workplace workplace, DedupOptions options, Reflink reflink)
            throws IOException {
        return run(() -> ImagePair.locked(images.canonical(), images.target(), options),
                pair -> new PairDedup(pair, images.pageBytes(), workplace, options, reflink),
                dedup -> dedup.share(dedup.look(images.evidence())));
    }

    /** Estimates what {@link #run} would share, and locks and changes nothing. Without indexes it reads both images. */
    static DedupOutcome estimate(Images images, Workplace workplace, DedupOptions options, Reflink reflink)
            throws IOException {
        return run(() -> ImagePair.of(images.canonical(), images.target()),
                pair -> new PairDedup(pair, images.pageBytes(), workplace, options, reflink),
                dedup -> dedup.foresee(dedup.look(images.evidence())));
    }

    @FunctionalInterface
    private interface Opening {
        ImagePair pair() throws IOException;
    }

    @FunctionalInterface
    private interface Making {
        PairDedup of(ImagePair pair) throws IOException;
    }

    private static DedupOutcome run(Opening opening, Making making, Work work) throws IOException {
        PairDedup dedup;
        try {
            dedup = making.of(opening.pair());
        } catch (NotDeduplicatedException reason) {
            return new DedupOutcome.LeftAlone(reason.reason(), reason.getMessage(), Optional.empty());
        }
        try {
            work.on(dedup);
            return new DedupOutcome.Deduplicated(dedup.report());
        } catch (NotDeduplicatedException reason) {
            return new DedupOutcome.LeftAlone(reason.reason(), reason.getMessage(), Optional.of(dedup.report()));
        }
    }

    private void foresee(boolean evidence) throws IOException {
        engine = Optional.of(chooseEngine());
        decide(evidence);
        sharedBytes = pages.equal() * verdicts.pageBytes();
    }

    /** Compares without reading any page; returns whether there were indexes. */
    private boolean look(Optional<Evidence> evidence) throws IOException {
        requireSharable();
        comparison.holes();
        comparison.sharedBlocks();
        alreadyShared = verdicts.count(Verdict.SHARED);
        comparingNanos = System.nanoTime() - startNanos;
        if (evidence.isPresent()) {
            comparison.indexes(evidence.get().canonical(), evidence.get().target());
        }
        requireEnough();
        return evidence.isPresent();
    }

    /** Fails early where sharing is impossible. Even after this check the filesystem may still refuse. */
    private void requireSharable() throws IOException {
        if (canShareInPlace() && reflink.mayDedupe(pair.canonical(), pair.target())
                instanceof DedupeOutcome.Unsupported unsupported) {
            throw new NotDeduplicatedException(Reason.UNSUPPORTED, pair.target() + " and " + pair.canonical()
                    + " cannot share blocks: " + unsupported.reason());
        }
    }

    private Engine chooseEngine() throws IOException {
        boolean readersAreSafe = canShareInPlace() && Allocation.of(pair.target()).sharesBeneathReaders();
        Engine chosen = options.engine().orElse(readersAreSafe ? Engine.SHARE_IN_PLACE : Engine.CLONE_AND_SWAP);
        if (chosen == Engine.SHARE_IN_PLACE && !canShareInPlace()) {
            throw new NotDeduplicatedException(Reason.UNSUPPORTED, pair.target()
                    + ": only Linux shares blocks in place");
        }
        if (chosen == Engine.SHARE_IN_PLACE && !readersAreSafe && workplace.isTargetInUse()) {
            throw new NotDeduplicatedException(Reason.IN_USE, pair.target() + " is in use, and on its filesystem a"
                    + " running guest may see zeros while blocks are shared in place; use clone and swap instead");
        }
        return chosen;
    }

    private void share(boolean evidence) throws IOException {
        Engine chosen = chooseEngine();
        engine = Optional.of(chosen);
        switch (chosen) {
            case SHARE_IN_PLACE -> shareInPlace(evidence);
            case CLONE_AND_SWAP -> swap(evidence);
        }
    }

    private void shareInPlace(boolean evidence) throws IOException {
        ShareInPlace sharing = new ShareInPlace(pair, comparison, reflink, pacer, options.threads());
        sharing.probe();
        decide(evidence);
        long started = System.nanoTime();
        sharedBytes = sharing.share(workplace, steps);
        if (options.rereads()) {
            // The kernel compared what it shared, and nothing else has changed.
            pair.requireUnchanged();
        }
        pages = countPages(0);
        steps.atLeast(2 * pair.lengthBytes());
        sharingNanos += System.nanoTime() - started;
        measure(pair.target());
    }

    private void swap(boolean evidence) throws IOException {
        try (CloneAndSwap clone = CloneAndSwap.begin(pair, reflink, workplace)) {
            decide(evidence);
            // A clone's bytes rest on this comparison alone: read also the pages that are equal by their indexes, and
            // those that the filesystem reports as shared.
            verdicts.replace(0, verdicts.pageCount(), Verdict.SHARED, Verdict.UNREAD);
            compare();
            swap(clone);
        }
    }

    private void swap(CloneAndSwap clone) throws IOException {
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
        // The old file has no name any more: closing it frees its blocks.
        pair.target().close();
        publishingNanos += System.nanoTime() - built;
        awaitRelease(clone.descriptor());
        measure(clone.descriptor());
    }

    /**
     * Waits, within bounds, until the old file's blocks are really free: until then, pages taken over from it count as
     * shared. Where others use the old file, that is not waited for.
     */
    private void awaitRelease(Descriptor file) throws IOException {
        if (workplace.isTargetInUse()) {
            return;
        }
        long equalBytes = (pages.equal() + pages.alreadyShared()) * verdicts.pageBytes();
        for (int attempt = 0; attempt < RELEASE_ATTEMPTS && before.isPresent(); attempt++) {
            Allocation.awaitDeferredFrees(file);
            if (spaceTaken(file).orElseThrow().sharedBytes() <= equalBytes) {
                return;
            }
            LockSupport.parkNanos(RELEASE_NANOS);
        }
    }

    /** Compares as far as needed, and decides whether sharing is worthwhile. */
    private void decide(boolean indexesSuffice) throws IOException {
        if (!indexesSuffice) {
            compare();
        }
        steps.atLeast(pair.lengthBytes());
        long equal = equalPages();
        choose();
        pages = countPages(0);
        long chosen = equalPages();
        if (!isWorthIt(chosen)) {
            requireNotShared(chosen);
            throw new NotDeduplicatedException(Reason.TOO_FRAGMENTED, pair.target() + " could share " + chosen
                    + " of the "
                    + equal + " pages it has in common with " + pair.canonical() + " within " + mostExtents()
                    + " extents, and less than " + options.fragmentation().leastPercentToShare()
                    + " % of its data is not worth it");
        }
    }

    /** Reads the pages that are not compared yet. */
    private void compare() throws IOException {
        long started = System.nanoTime();
        comparison.bytes(options.threads(), pacer, steps);
        comparingNanos += System.nanoTime() - started;
        requireEnough();
    }

    private void choose() throws IOException {
        SharingPlan.choose(verdicts, pair.canonical(), pair.target(), mostExtents());
    }

    private long mostExtents() {
        return options.fragmentation().mostExtentsToShare(pair.lengthBytes());
    }

    private void requireEnough() throws NotDeduplicatedException {
        pages = countPages(0);
        long equal = equalPages();
        if (isWorthIt(equal)) {
            return;
        }
        requireNotShared(equal);
        throw new NotDeduplicatedException(Reason.TOO_FEW_EQUAL, pair.target() + " has " + equal + " of its "
                + dataPages()
                + " pages of data in common with " + pair.canonical() + ", less than "
                + options.fragmentation().leastPercentToShare() + " %");
    }

    private void requireNotShared(long equal) throws NotDeduplicatedException {
        long shared = verdicts.count(Verdict.SHARED);
        if (isWorthIt(equal + shared)) {
            throw new NotDeduplicatedException(Reason.ALREADY_SHARED, pair.target() + " shares " + shared + " of its "
                    + dataPages()
                    + " pages of data with " + pair.canonical() + " already, and could share " + equal + " more");
        }
    }

    private boolean isWorthIt(long gainedPages) {
        return options.fragmentation().isWorthSharing(
                gainedPages * verdicts.pageBytes(), dataPages() * verdicts.pageBytes());
    }

    private long equalPages() {
        return verdicts.count(Verdict.EQUAL) + verdicts.count(Verdict.UNREAD)
                + verdicts.count(Verdict.UNREAD_AGAINST_HOLE);
    }

    /** Returns the number of the target's pages that are not holes, whatever their verdicts. */
    private long dataPages() {
        return equalPages() + verdicts.count(Verdict.SHARED) + verdicts.count(Verdict.DIFFERENT);
    }

    private boolean canShareInPlace() {
        return pair.target().posix().constants().operatingSystem() == OperatingSystem.LINUX;
    }

    private DedupReport.Pages countPages(long written) {
        long all = equalPages() + verdicts.count(Verdict.SHARED);
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
