package io.microsnap.dedup.internal;

import io.microsnap.core.CancelledException;
import io.microsnap.core.Progress;
import io.microsnap.core.SnapshotId;
import io.microsnap.dedup.Accounting;
import io.microsnap.dedup.DedupOptions;
import io.microsnap.dedup.DedupOutcome;
import io.microsnap.dedup.DedupOutcome.Reason;
import io.microsnap.dedup.Deduplicator;
import io.microsnap.dedup.SiblingPolicy;
import io.microsnap.store.SnapshotStore;
import java.io.IOException;
import java.time.Duration;
import java.util.Map;
import java.util.Objects;
import java.util.Optional;

/**
 * Deduplicates a snapshot after its bake: it is made to share blocks with its most similar sibling, if that is possible
 * within a time. Failures are never thrown, because the snapshot is complete without it: they are in the outcome, the
 * log and the flight recorder.
 *
 * @param enabled whether to share at all
 * @param limit how long it may take; what was shared in place by then stays shared
 * @param options how to share
 */
public record AfterBake(boolean enabled, Duration limit, DedupOptions options) {
    /** The environment variable that switches this off if it is {@code 0}. */
    public static final String SWITCH = "MICROSNAP_AUTO_DEDUP";

    private static final String OFF = "0";
    private static final Duration USUAL_LIMIT = Duration.ofSeconds(10);

    public AfterBake {
        Objects.requireNonNull(options);
        if (limit.isNegative()) {
            throw new IllegalArgumentException("sharing after a bake cannot take " + limit);
        }
    }

    /**
     * Returns the default: with the most similar sibling, for at most ten seconds, unless the environment switches it
     * off.
     */
    public static AfterBake usual() {
        return usual(System.getenv());
    }

    /** As {@link #usual()}, with these variables for the environment. */
    public static AfterBake usual(Map<String, String> environment) {
        return new AfterBake(!OFF.equals(environment.get(SWITCH)), USUAL_LIMIT,
                DedupOptions.DEFAULTS.with(Accounting.PAGES));
    }

    /** Returns the same, switched on or off whatever the environment says. */
    public AfterBake enabled(boolean decision) {
        return new AfterBake(decision, limit, options);
    }

    /** Returns the same with another limit. */
    public AfterBake within(Duration longest) {
        return new AfterBake(enabled, longest, options);
    }

    /** Returns the same with other options. */
    public AfterBake with(DedupOptions other) {
        return new AfterBake(enabled, limit, other);
    }

    /** Shares what can be shared. Meanwhile the snapshot may be used but should not be deleted. */
    public DedupOutcome baked(SnapshotStore store, SnapshotId fresh) {
        if (!enabled) {
            return new DedupOutcome.LeftAlone(
                    Reason.SWITCHED_OFF, "sharing after a bake is switched off", Optional.empty());
        }
        TimeLimit time = new TimeLimit(options.progress(), limit);
        try {
            return new Deduplicator(store)
                    .deduplicate(fresh, SiblingPolicy.MOST_ALIKE, options.with(time).withPatience(limit));
        } catch (IOException | RuntimeException failure) {
            if (time.isUp) {
                return new DedupOutcome.LeftAlone(Reason.OUT_OF_TIME, failure.getMessage(), Optional.empty());
            }
            return new DedupOutcome.Failed(failure);
        }
    }

    /** Stops the work when the time is up. */
    private static final class TimeLimit implements Progress {
        private final Progress listener;
        private final Duration limit;
        private final long startNanos = System.nanoTime();
        private boolean isUp;

        TimeLimit(Progress listener, Duration limit) {
            this.listener = listener;
            this.limit = limit;
        }

        @Override
        public void advanced(long doneBytes, long totalBytes) throws CancelledException {
            if (System.nanoTime() - startNanos >= limit.toNanos()) {
                isUp = true;
                throw new CancelledException("sharing blocks was stopped after " + limit.toMillis() + " ms");
            }
            listener.advanced(doneBytes, totalBytes);
        }
    }
}
