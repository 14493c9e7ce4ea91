package io.microsnap.dedup;

import io.microsnap.core.SnapshotReference;
import java.util.Optional;

/**
 * What a snapshot could share, as far as indexes and extents tell.
 *
 * @param target which it is
 * @param sibling with which it would; empty if it has none
 * @param equalBytes how much both hold alike, zeros aside; some of it may be shared already
 * @param expected what a run would come to: how much it would share, or why it would leave the snapshot alone
 */
public record Estimate(
        SnapshotReference target, Optional<Sibling> sibling, long equalBytes, DedupOutcome expected) {
    /** How much a run would share. */
    public long sharableBytes() {
        return expected instanceof DedupOutcome.Deduplicated(DedupReport report) ? report.sharedBytes() : 0;
    }
}
