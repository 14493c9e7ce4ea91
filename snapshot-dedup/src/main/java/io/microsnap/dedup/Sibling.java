package io.microsnap.dedup;

import io.microsnap.core.SnapshotReference;

/**
 * The snapshot whose image a target is compared with.
 *
 * @param reference which it is
 * @param likeness the part of the target's pages, without zeros, that it also holds according to the indexes, from 0 to
 * 1
 * @param why why it was chosen, for a person
 */
public record Sibling(SnapshotReference reference, double likeness, String why) {
}
