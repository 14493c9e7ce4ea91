package io.microsnap.dedup;

import io.microsnap.core.SnapshotReference;
import java.util.Optional;

/**
 * What a snapshot could share, as far as indexes tell.
 *
 * @param target which it is
 * @param sibling with which it would; empty if it has none
 * @param equalBytes how much both hold alike, zeros aside; some of it may be shared already
 */
public record Estimate(SnapshotReference target, Optional<Sibling> sibling, long equalBytes) {
}
