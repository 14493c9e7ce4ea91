package io.microsnap.dedup;

import io.microsnap.core.Progress;
import java.util.function.Consumer;

/**
 * How a whole store is deduplicated.
 *
 * @param policy how siblings are chosen
 * @param each how each snapshot is deduplicated; its progress is not used
 * @param progress receives how much of all images was processed, and may cancel
 * @param listener receives each finished snapshot
 */
public record BatchOptions(
        SiblingPolicy policy, DedupOptions each, Progress progress, Consumer<BatchReport.Entry> listener) {
    /** The most similar siblings, default options, no listener. */
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
