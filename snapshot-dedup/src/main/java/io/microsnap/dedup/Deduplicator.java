package io.microsnap.dedup;

import io.microsnap.core.SnapshotId;
import io.microsnap.core.internal.file.Reflink;
import io.microsnap.core.internal.posix.Posix;
import io.microsnap.dedup.DedupOutcome.Reason;
import io.microsnap.dedup.internal.IndexLikeness;
import io.microsnap.dedup.internal.SiblingChoice;
import io.microsnap.store.Manifest;
import io.microsnap.store.SnapshotStore;
import io.microsnap.store.internal.DirectoryStore;
import io.microsnap.store.internal.StoredSnapshot;
import java.io.IOException;
import java.nio.file.NoSuchFileException;
import java.nio.file.Path;
import java.util.List;
import java.util.Optional;
import java.util.function.Consumer;
import java.util.function.Predicate;

/**
 * Makes snapshots of one store share blocks: a snapshot with its most similar sibling, or with a named one. A
 * snapshot's content does not change, and meanwhile it can be restored and serve as a base; neither of the two can be
 * deleted meanwhile.
 *
 * <p>An image that is in use keeps its bytes, whatever is done: guests restored from it read them all the time. Where
 * another file takes its place, its users keep the old one, and its space, until they close it. Any number of threads
 * and processes may work on one store; two never work on the same snapshot.
 */
public final class Deduplicator {
    private static final System.Logger LOG = System.getLogger(Deduplicator.class.getName());

    /** After this many replacements by other processes during the wait, the image is left to those processes. */
    private static final int ATTEMPTS = 3;

    private final DirectoryStore store;
    private final Reflink reflink = new Reflink();

    /** Works on a store, which stays open meanwhile and is not closed by this. */
    public Deduplicator(SnapshotStore store) {
        this.store = DirectoryStore.of(store);
    }

    /**
     * Shares blocks with the sibling that the policy chooses.
     *
     * @throws NoSuchFileException if there is no such snapshot
     * @throws IOException if it is damaged or a system call fails; the snapshot is then as it was
     */
    public DedupOutcome deduplicate(SnapshotId target, SiblingPolicy policy, DedupOptions options)
            throws IOException {
        return deduplicate(target, policy, whole(), candidate -> true, options);
    }

    /** As {@link #deduplicate(SnapshotId, SiblingPolicy, DedupOptions)}, with these candidates only. */
    DedupOutcome deduplicate(SnapshotId target, SiblingPolicy policy, List<Manifest> whole,
            Predicate<Manifest> siblings, DedupOptions options) throws IOException {
        return reported(target, () -> {
            boolean inUse = isInUse(target, whole);
            try (StoredSnapshot held = store.hold(target)) {
                SiblingChoice choice = new SiblingChoice(store, options);
                for (Sibling sibling : choice.rank(held, whole.stream().filter(siblings).toList(), policy)) {
                    try (StoredSnapshot canonical = store.hold(sibling.reference().id())) {
                        if (canonical.reference().equals(sibling.reference())) {
                            return run(canonical, held, inUse, options, sibling);
                        }
                    } catch (NoSuchFileException gone) {
                        LOG.log(System.Logger.Level.DEBUG, "{0} was deleted since it was compared", sibling);
                    }
                }
                return noSibling(held);
            }
        });
    }

    private DedupOutcome.LeftAlone noSibling(StoredSnapshot held) {
        return new DedupOutcome.LeftAlone(Reason.NO_SIBLING, "no other snapshot in " + store
                + " has the image, size, layout and version of " + held.id(), Optional.empty());
    }

    /**
     * Shares blocks with one particular snapshot, whatever its guest image.
     *
     * @throws NoSuchFileException if there is no such target
     * @throws IOException if either is damaged or a system call fails; the snapshot is then as it was
     */
    public DedupOutcome deduplicate(SnapshotId target, SnapshotId canonical, DedupOptions options)
            throws IOException {
        return reported(target, () -> {
            if (target.equals(canonical)) {
                return new DedupOutcome.LeftAlone(Reason.SAME_FILE, target + " is itself", Optional.empty());
            }
            boolean inUse = isInUse(target, whole());
            try (StoredSnapshot held = store.hold(target); StoredSnapshot other = holdCanonical(canonical)) {
                return run(other, held, inUse, options, askedFor(other));
            } catch (NotDeduplicatedException reason) {
                return new DedupOutcome.LeftAlone(reason.reason(), reason.getMessage(), Optional.empty());
            }
        });
    }

    /**
     * Estimates the result of {@link #deduplicate(SnapshotId, SiblingPolicy, DedupOptions)} from page indexes and
     * extents; locks and changes nothing.
     *
     * @throws NoSuchFileException if there is no such snapshot
     */
    public Estimate estimate(SnapshotId target, SiblingPolicy policy, DedupOptions options) throws IOException {
        return estimate(target, whole(), policy, options);
    }

    Estimate estimate(SnapshotId target, List<Manifest> candidates, SiblingPolicy policy, DedupOptions options)
            throws IOException {
        try (StoredSnapshot held = store.hold(target)) {
            List<Sibling> ranked = new SiblingChoice(store, options).rank(held, candidates, policy);
            if (ranked.isEmpty()) {
                return new Estimate(held.reference(), Optional.empty(), 0, noSibling(held));
            }
            try (StoredSnapshot canonical = store.hold(ranked.getFirst().reference().id())) {
                return estimate(canonical, held, options, ranked.getFirst());
            }
        }
    }

    /**
     * Estimates the result of {@link #deduplicate(SnapshotId, SnapshotId, DedupOptions)}. If the two have different
     * regions, so that indexes do not help, this reads both images.
     *
     * @throws NoSuchFileException if one of them does not exist
     */
    public Estimate estimate(SnapshotId target, SnapshotId canonical, DedupOptions options) throws IOException {
        try (StoredSnapshot held = store.hold(target); StoredSnapshot other = store.hold(canonical)) {
            return estimate(other, held, options, askedFor(other));
        }
    }

    private Estimate estimate(StoredSnapshot canonical, StoredSnapshot target, DedupOptions options, Sibling sibling)
            throws IOException {
        boolean comparable = canonical.layout().equals(target.layout());
        long equalPages = !comparable ? 0 : new IndexLikeness(SiblingChoice.evidence(target))
                .exact(SiblingChoice.evidence(canonical)).equalPages();
        DedupOutcome expected = PairDedup.estimate(imagesOf(canonical, target), workplace(target, whole()), options,
                reflink);
        return new Estimate(target.reference(), Optional.of(sibling), equalPages * target.layout().pageBytes(),
                withSibling(expected, sibling));
    }

    /**
     * Deduplicates every snapshot that has an older sibling, the oldest first: each with the one that the policy
     * chooses among those that are older. So the oldest of a family keeps its image, and all others share with it.
     *
     * <p>What is done is seen in the files themselves: a run that was cancelled or killed is resumed by running again,
     * and several processes share the work. A snapshot that fails is reported, and the others are gone on with.
     *
     * @param options how each snapshot is deduplicated; its progress receives how much of all images was processed, and
     * may cancel the run, which the report then says
     */
    public BatchReport deduplicateAll(SiblingPolicy policy, DedupOptions options) throws IOException {
        return deduplicateAll(policy, options, entry -> { });
    }

    /** As {@link #deduplicateAll(SiblingPolicy, DedupOptions)}; the listener hears of each snapshot that is done. */
    public BatchReport deduplicateAll(
            SiblingPolicy policy, DedupOptions options, Consumer<BatchReport.Entry> listener) throws IOException {
        return new StoreBatch(this).run(policy, options, listener);
    }

    /**
     * Tells what {@link #deduplicateAll(SiblingPolicy, DedupOptions)} could gain, from page indexes and extents; no
     * image is read, nothing changes. A snapshot whose index is damaged is expected to fail.
     */
    public List<Estimate> estimateAll(SiblingPolicy policy, DedupOptions options) throws IOException {
        return new StoreBatch(this).estimate(policy, options);
    }

    /**
     * Lets a file share what it has in common with another one; neither is in a store. The target's bytes, mode, times
     * and attributes stay what they are, whatever happens; whether anything was shared is in the outcome. Meanwhile
     * no process should write either file: sharing in place is safe even then, and a swap is abandoned if the write is
     * noticed.
     *
     * @throws IOException if a file is missing or a system call fails; the target is then as it was, and nothing is
     *     left behind
     */
    public static DedupOutcome deduplicateFiles(Path canonical, Path target, DedupOptions options)
            throws IOException {
        return new FileDeduplicator(Posix.host()).deduplicate(canonical, target, options);
    }

    /** Tells what {@link #deduplicateFiles} would come to: both files are read, and nothing is locked or changed. */
    public static DedupOutcome estimateFiles(Path canonical, Path target, DedupOptions options) throws IOException {
        return new FileDeduplicator(Posix.host()).estimate(canonical, target, options);
    }

    /** Returns the candidate siblings of a snapshot, best first; takes no lock and changes nothing. */
    public List<Sibling> siblings(SnapshotId target, SiblingPolicy policy) throws IOException {
        try (StoredSnapshot held = store.hold(target)) {
            return new SiblingChoice(store, DedupOptions.DEFAULTS).rank(held, whole(), policy);
        }
    }

    List<Manifest> whole() throws IOException {
        return SiblingChoice.whole(store);
    }

    DirectoryStore store() {
        return store;
    }

    private DedupOutcome run(StoredSnapshot canonical, StoredSnapshot target, boolean inUse, DedupOptions options,
            Sibling sibling) throws IOException {
        return withSibling(PairDedup.run(imagesOf(canonical, target), new StoreWorkplace(store, target, inUse),
                options, reflink), sibling);
    }

    private static PairDedup.Images imagesOf(StoredSnapshot canonical, StoredSnapshot target) throws IOException {
        boolean comparable = canonical.layout().equals(target.layout());
        return new PairDedup.Images(canonical.image(), target.image(), target.layout().pageBytes(), !comparable
                ? Optional.empty()
                : Optional.of(new PairDedup.Evidence(
                        SiblingChoice.evidence(canonical), SiblingChoice.evidence(target))));
    }

    private StoreWorkplace workplace(StoredSnapshot target, List<Manifest> whole) {
        return new StoreWorkplace(store, target, isRequired(target.id(), whole));
    }

    private static Sibling askedFor(StoredSnapshot canonical) {
        return new Sibling(canonical.reference(), Double.NaN, "asked for");
    }

    private static DedupOutcome withSibling(DedupOutcome outcome, Sibling sibling) {
        return switch (outcome) {
            case DedupOutcome.Deduplicated(DedupReport report) ->
                    new DedupOutcome.Deduplicated(report.withSibling(sibling));
            case DedupOutcome.LeftAlone(Reason reason, String explanation, Optional<DedupReport> report) ->
                    new DedupOutcome.LeftAlone(reason, explanation, report.map(found -> found.withSibling(sibling)));
            case DedupOutcome.Failed failed -> failed;
        };
    }

    private StoredSnapshot holdCanonical(SnapshotId id) throws IOException {
        try {
            return store.hold(id);
        } catch (NoSuchFileException gone) {
            throw new NotDeduplicatedException(Reason.SIBLING_GONE, id + " is not in " + store);
        }
    }

    /** Returns whether a process has its image open, or may open it through another snapshot. */
    private boolean isInUse(SnapshotId id, List<Manifest> whole) throws IOException {
        return store.isHeld(id) || isRequired(id, whole);
    }

    private static boolean isRequired(SnapshotId id, List<Manifest> whole) {
        return whole.stream().anyMatch(
                manifest -> manifest.requiredBase().filter(base -> base.id().equals(id)).isPresent());
    }

    @FunctionalInterface
    private interface Work {
        DedupOutcome run() throws IOException;
    }

    private DedupOutcome reported(SnapshotId target, Work work) throws IOException {
        DedupEvent event = new DedupEvent();
        event.begin();
        try {
            DedupOutcome outcome = work.run();
            for (int attempt = 1; attempt < ATTEMPTS && wasReplaced(outcome); attempt++) {
                outcome = work.run();
            }
            event.end(store, target, outcome);
            return outcome;
        } catch (IOException | RuntimeException failure) {
            event.end(store, target, new DedupOutcome.Failed(failure));
            throw failure;
        }
    }

    /**
     * Returns whether the holder of the lock replaced the image by a clone: the snapshot exists, but in another file.
     */
    private static boolean wasReplaced(DedupOutcome outcome) {
        return outcome instanceof DedupOutcome.LeftAlone alone && alone.report().isEmpty()
                && (alone.reason() == Reason.TARGET_GONE || alone.reason() == Reason.SIBLING_GONE);
    }
}
