package io.microsnap.dedup;

import io.microsnap.core.SnapshotReference;

/**
 * The snapshot whose image a target is compared with.
 *
 * @param reference which it is
 * @param likeness which part of the target's pages, zeros aside, it holds too, from 0 to 1, by the indexes
 * @param why why it and no other, for a person
 */
public record Sibling(SnapshotReference reference, double likeness, String why) {
}
