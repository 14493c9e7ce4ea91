package io.microsnap.dedup;

import io.microsnap.core.CancelledException;
import io.microsnap.core.DamagedException;
import io.microsnap.core.Progress;
import io.microsnap.dedup.DedupOutcome.Reason;
import io.microsnap.dedup.internal.SiblingChoice;
import io.microsnap.store.Manifest;
import io.microsnap.store.internal.StoredSnapshot;
import java.io.IOException;
import java.nio.file.NoSuchFileException;
import java.time.Duration;
import java.util.ArrayList;
import java.util.Comparator;
import java.util.List;
import java.util.Optional;
import java.util.OptionalLong;
import java.util.function.Consumer;
import java.util.function.Predicate;

/** Deduplicates a whole store: see {@link Deduplicator#deduplicateAll(SiblingPolicy, DedupOptions)}. */
final class StoreBatch {
    private static final System.Logger LOG = System.getLogger(StoreBatch.class.getName());
    private static final Comparator<Manifest> OLDEST_FIRST =
            Comparator.comparing(Manifest::created).thenComparing(manifest -> manifest.id().key());

    private final Deduplicator deduplicator;

    StoreBatch(Deduplicator deduplicator) {
        this.deduplicator = deduplicator;
    }

    /** Deduplicates every snapshot that has an older sibling. */
    BatchReport run(SiblingPolicy policy, DedupOptions options, Consumer<BatchReport.Entry> listener)
            throws IOException {
        return new Run(policy, options, listener).run();
    }

    /** Tells what {@link #run} could gain. */
    List<Estimate> estimate(SiblingPolicy policy, DedupOptions options) throws IOException {
        List<Manifest> whole = whole();
        List<Estimate> estimates = new ArrayList<>();
        for (Manifest manifest : whole) {
            List<Manifest> older = whole.stream().filter(olderSiblingsOf(manifest)).toList();
            if (!older.isEmpty()) {
                try {
                    estimates.add(deduplicator.estimate(manifest.id(), older, policy, options));
                } catch (NoSuchFileException gone) {
                    LOG.log(System.Logger.Level.DEBUG, "{0}, or its sibling, was deleted meanwhile", manifest.id());
                } catch (DamagedException damaged) {
                    estimates.add(new Estimate(
                            manifest.reference(), Optional.empty(), 0, new DedupOutcome.Failed(damaged)));
                }
            }
        }
        return estimates;
    }

    private List<Manifest> whole() throws IOException {
        List<Manifest> whole = deduplicator.whole();
        whole.sort(OLDEST_FIRST);
        return whole;
    }

    private static Predicate<Manifest> olderSiblingsOf(Manifest manifest) {
        return other -> SiblingChoice.areSiblings(manifest, other) && OLDEST_FIRST.compare(other, manifest) < 0;
    }

    /** One pass over the store. */
    private final class Run {
        private final SiblingPolicy policy;
        private final DedupOptions options;
        private final Consumer<BatchReport.Entry> listener;
        private final long startNanos = System.nanoTime();
        private final List<Manifest> whole = whole();
        private final List<BatchReport.Entry> entries = new ArrayList<>();
        private final List<Manifest> targets;
        private final long totalBytes;
        private long doneBytes;
        private boolean cancelled;

        Run(SiblingPolicy policy, DedupOptions options, Consumer<BatchReport.Entry> listener) throws IOException {
            this.policy = policy;
            this.options = options;
            this.listener = listener;
            targets = whole.stream().filter(manifest -> whole.stream().anyMatch(olderSiblingsOf(manifest))).toList();
            totalBytes = targets.stream().mapToLong(manifest -> manifest.layout().lengthBytes()).sum();
        }

        BatchReport run() throws IOException {
            OptionalLong freeBefore = freeBytes();
            List<Manifest> busy = new ArrayList<>();
            try {
                for (Manifest target : targets) {
                    DedupOutcome outcome = deduplicate(target, Duration.ZERO);
                    if (isLeftFor(outcome, Reason.BUSY)) {
                        busy.add(target);
                    } else {
                        report(target, outcome);
                    }
                    doneBytes += target.layout().lengthBytes();
                    if (isLeftFor(outcome, Reason.UNSUPPORTED)) {
                        // One filesystem holds all snapshots: an operation it lacks for one it lacks for all.
                        break;
                    }
                }
                // The rest is done: now wait for the busy ones.
                for (Manifest target : busy) {
                    report(target, deduplicate(target, options.patience()));
                }
            } catch (CancelledException stopped) {
                cancelled = true;
            }
            return new BatchReport(List.copyOf(entries), cancelled, freeBefore, freeBytes(),
                    Duration.ofNanos(System.nanoTime() - startNanos));
        }

        private DedupOutcome deduplicate(Manifest target, Duration patience) throws CancelledException {
            long before = doneBytes;
            long length = target.layout().lengthBytes();
            Progress part = (done, total) -> options.progress().advanced(
                    Math.min(totalBytes, before + (long) ((double) done / total * length)), totalBytes);
            try {
                return deduplicator.deduplicate(
                        target.id(), policy, whole, olderSiblingsOf(target),
                        eachWith(part).withPatience(patience));
            } catch (CancelledException stopped) {
                throw stopped;
            } catch (NoSuchFileException gone) {
                return new DedupOutcome.LeftAlone(
                        Reason.TARGET_GONE, target.id() + " was deleted meanwhile", Optional.empty());
            } catch (IOException | RuntimeException failure) {
                return new DedupOutcome.Failed(failure);
            }
        }

        /** Returns the options for each snapshot: free space is measured only once, for all. */
        private DedupOptions eachWith(Progress progress) {
            DedupOptions each = options.with(progress);
            return each.accounting() == Accounting.FREE_SPACE ? each.with(Accounting.EXTENTS) : each;
        }

        private void report(Manifest target, DedupOutcome outcome) {
            BatchReport.Entry entry = new BatchReport.Entry(target.reference(), outcome);
            entries.add(entry);
            listener.accept(entry);
        }

        private OptionalLong freeBytes() throws IOException {
            if (options.accounting() != Accounting.FREE_SPACE || targets.isEmpty()) {
                return OptionalLong.empty();
            }
            for (Manifest manifest : whole) {
                try (StoredSnapshot any = deduplicator.store().hold(manifest.id())) {
                    return OptionalLong.of(Allocation.freeBytesAfterSync(any.image()));
                } catch (NoSuchFileException gone) {
                    LOG.log(System.Logger.Level.DEBUG, "{0} was deleted; another one is used", manifest.id());
                }
            }
            return OptionalLong.empty();
        }
    }

    private static boolean isLeftFor(DedupOutcome outcome, Reason reason) {
        return outcome instanceof DedupOutcome.LeftAlone alone && alone.reason() == reason;
    }
}
