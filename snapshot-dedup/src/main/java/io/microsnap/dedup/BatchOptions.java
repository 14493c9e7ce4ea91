package io.microsnap.dedup;

import io.microsnap.core.Progress;
import java.util.function.Consumer;

/**
 * How a whole store is deduplicated.
 *
 * @param policy by what siblings are chosen
 * @param each how each snapshot is deduplicated; its progress is not used
 * @param progress hears how much of all images was worked on, and may cancel
 * @param listener hears of each snapshot when it is done with
 */
public record BatchOptions(
        SiblingPolicy policy, DedupOptions each, Progress progress, Consumer<BatchReport.Entry> listener) {
    /** The most alike siblings, default options, nobody listens. */
    public static final BatchOptions DEFAULTS =
            new BatchOptions(SiblingPolicy.MOST_ALIKE, DedupOptions.DEFAULTS, Progress.NONE, entry -> { });

    public BatchOptions with(SiblingPolicy other) {
        return new BatchOptions(other, each, progress, listener);
    }

    public BatchOptions with(DedupOptions other) {
        return new BatchOptions(policy, other, progress, listener);
    }

    public BatchOptions with(Progress other) {
        return new BatchOptions(policy, each, other, listener);
    }

    public BatchOptions with(Consumer<BatchReport.Entry> other) {
        return new BatchOptions(policy, each, progress, other);
    }
}
