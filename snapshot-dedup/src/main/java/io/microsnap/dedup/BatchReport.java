package io.microsnap.dedup;

import io.microsnap.core.SnapshotReference;
import java.time.Duration;
import java.util.List;
import java.util.OptionalLong;

/**
 * The result of deduplicating a whole store.
 *
 * @param entries every processed snapshot, in that order
 * @param cancelled whether it was stopped early; the next run continues where this one stopped
 * @param freeBytesBefore free space of the filesystem before, where measured
 * @param freeBytesAfter free space of the filesystem now, where measured
 * @param time how long it took
 */
public record BatchReport(List<Entry> entries, boolean cancelled, OptionalLong freeBytesBefore,
        OptionalLong freeBytesAfter, Duration time) {
    /**
     * One snapshot.
     *
     * @param target which it is
     * @param outcome the outcome
     */
    public record Entry(SnapshotReference target, DedupOutcome outcome) {
    }

    /** Returns how many bytes were newly shared, in all. */
    public long sharedBytes() {
        return entries.stream().mapToLong(entry ->
                entry.outcome() instanceof DedupOutcome.Deduplicated(DedupReport report) ? report.sharedBytes() : 0)
                .sum();
    }
}
