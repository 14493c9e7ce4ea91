package io.microsnap.dedup;

import io.microsnap.core.SnapshotReference;
import java.util.Optional;

/**
 * Estimates, from indexes and extents, what a snapshot could share.
 *
 * @param target which it is
 * @param sibling the sibling to share with; empty if it has none
 * @param equalBytes how many bytes are equal in both, without zeros; some may be shared already
 * @param expected the expected result: how much a run would share, or why it would leave the snapshot alone
 */
public record Estimate(
        SnapshotReference target, Optional<Sibling> sibling, long equalBytes, DedupOutcome expected) {
    /** Returns how much a run would share. */
    public long sharableBytes() {
        return expected instanceof DedupOutcome.Deduplicated(DedupReport report) ? report.sharedBytes() : 0;
    }
}
