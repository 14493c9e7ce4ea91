package io.microsnap.dedup.internal;

import io.microsnap.core.internal.work.Workers;
import io.microsnap.dedup.DedupOptions;
import io.microsnap.dedup.Sibling;
import io.microsnap.dedup.SiblingPolicy;
import io.microsnap.dedup.internal.IndexLikeness.Likeness;
import io.microsnap.store.Manifest;
import io.microsnap.store.SnapshotEntry;
import io.microsnap.store.SnapshotStore;
import io.microsnap.store.internal.DirectoryStore;
import io.microsnap.store.internal.PageIndex;
import io.microsnap.store.internal.PageMap;
import io.microsnap.store.internal.StoredSnapshot;
import java.io.IOException;
import java.util.ArrayList;
import java.util.Collections;
import java.util.Comparator;
import java.util.List;
import java.util.Locale;
import java.util.Optional;
import java.util.concurrent.ConcurrentLinkedQueue;
import java.util.concurrent.atomic.AtomicInteger;

/** Finds, among the snapshots of the same image, size and layout, the one that has most in common with a target. */
public final class SiblingChoice {
    private static final System.Logger LOG = System.getLogger(SiblingChoice.class.getName());
    /** The number of best candidates that are compared page by page, because a sample may order them wrongly. */
    private static final int FINALISTS = 4;
    /** The number of runs of pages in the first sample; equal runs are not counted. */
    private static final int SAMPLED_RUNS = 16;
    private static final int PERCENT = 100;

    private final DirectoryStore store;
    private final DedupOptions options;

    public SiblingChoice(DirectoryStore store, DedupOptions options) {
        this.store = store;
        this.options = options;
    }

    private record Candidate(Manifest manifest, Likeness likeness) {
    }

    /** Returns the store's knowledge of a snapshot that needs no reading of its image. */
    public static IndexEvidence evidence(StoredSnapshot held) throws IOException {
        boolean holdsAll = !held.manifest().isDiff();
        return new IndexEvidence(held.pageIndex(), holdsAll ? Optional.empty() : held.pageMap());
    }

    /** Returns whether one of two snapshots could be the other's canonical image. */
    public static boolean areSiblings(Manifest one, Manifest other) {
        return !one.id().equals(other.id())
                && one.imageName().equals(other.imageName())
                && one.bakerVersion().equals(other.bakerVersion())
                && one.layout().equals(other.layout());
    }

    /** Returns every snapshot of a store that is whole, as far as can be told without reading it. */
    public static List<Manifest> whole(SnapshotStore store) throws IOException {
        List<Manifest> whole = new ArrayList<>();
        for (SnapshotEntry entry : store.list()) {
            if (entry instanceof SnapshotEntry.Whole(Manifest manifest)) {
                whole.add(manifest);
            }
        }
        return whole;
    }

    /**
     * Returns its best few siblings, best first; skips damaged and vanished ones.
     */
    public List<Sibling> rank(StoredSnapshot target, List<Manifest> whole, SiblingPolicy policy) throws IOException {
        return rank(target.manifest(), evidence(target), whole, policy);
    }

    /** Returns, best first, the siblings in a store of a snapshot of which only the manifest and indexes are known. */
    public List<Sibling> rank(Manifest target, PageIndex index, Optional<PageMap> own) throws IOException {
        boolean holdsAll = !target.isDiff();
        return rank(target, new IndexEvidence(index, holdsAll ? Optional.empty() : own), whole(store),
                SiblingPolicy.MOST_ALIKE);
    }

    /** As above, for a snapshot of which only the manifest and the index evidence are known. */
    public List<Sibling> rank(Manifest target, IndexEvidence evidence, List<Manifest> whole, SiblingPolicy policy)
            throws IOException {
        List<Manifest> candidates = whole.stream().filter(manifest -> areSiblings(manifest, target)).toList();
        if (policy == SiblingPolicy.NEWEST) {
            return candidates.stream().sorted(newestFirst()).limit(FINALISTS)
                    .map(manifest -> new Sibling(manifest.reference(), Double.NaN, "the newest of "
                            + candidates.size() + " siblings")).toList();
        }
        IndexLikeness likeness = new IndexLikeness(evidence);
        Comparator<Candidate> best = Comparator
                .comparingLong((Candidate candidate) -> candidate.likeness().equalPages()).reversed()
                .thenComparing(candidate -> !isLineage(target, candidate.manifest()))
                .thenComparing(Candidate::manifest, newestFirst());
        List<Candidate> sampled = compare(candidates, other -> likeness.sampled(other, SAMPLED_RUNS));
        sampled.sort(best);
        List<Candidate> finalists = List.of();
        // Reads the whole indexes of these few; if all of them are damaged, of the next few.
        for (int from = 0; finalists.isEmpty() && from < sampled.size(); from += FINALISTS) {
            finalists = compare(sampled.subList(from, Math.min(from + FINALISTS, sampled.size())).stream()
                    .map(Candidate::manifest).toList(), likeness::exact);
        }
        return finalists.stream().sorted(best).map(candidate -> new Sibling(candidate.manifest().reference(),
                candidate.likeness().share(), String.format(Locale.ROOT,
                        "%.1f %% of the pages in common, the most among %d siblings",
                        candidate.likeness().share() * PERCENT, candidates.size()))).toList();
    }

    @FunctionalInterface
    private interface Comparing {
        Likeness with(IndexEvidence evidence) throws IOException;
    }

    private List<Candidate> compare(List<Manifest> manifests, Comparing comparing) throws IOException {
        ConcurrentLinkedQueue<Candidate> compared = new ConcurrentLinkedQueue<>();
        AtomicInteger next = new AtomicInteger();
        // The total is unknown, so this reports no progress, but it can be cancelled.
        Steps steps = new Steps(options.progress(), 1);
        int members = Math.max(1, Math.min(options.threads(), manifests.size()));
        try (Workers workers = Workers.started("compare", members - 1)) {
            workers.run(Collections.nCopies(members, () -> {
                for (int at = next.getAndIncrement(); at < manifests.size() && !workers.failed();
                        at = next.getAndIncrement()) {
                    compare(manifests.get(at), comparing).ifPresent(compared::add);
                    steps.did(0);
                }
            }));
        }
        return new ArrayList<>(compared);
    }

    private Optional<Candidate> compare(Manifest manifest, Comparing comparing) {
        try (StoredSnapshot held = store.hold(manifest.id())) {
            return Optional.of(new Candidate(held.manifest(), comparing.with(evidence(held))));
        } catch (IOException e) {
            LOG.log(System.Logger.Level.DEBUG, manifest.id() + " is skipped as a sibling", e);
            return Optional.empty();
        }
    }

    private static boolean isLineage(Manifest target, Manifest candidate) {
        // If there is a base, it is the parent, too.
        return target.parent().equals(Optional.of(candidate.reference()));
    }

    private static Comparator<Manifest> newestFirst() {
        return Comparator.comparing(Manifest::created).reversed().thenComparing(manifest -> manifest.id().key());
    }
}
