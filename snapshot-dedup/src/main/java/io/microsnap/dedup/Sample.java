package io.microsnap.dedup;

import io.microsnap.store.FragmentationPolicy;
import java.util.OptionalInt;

/**
 * What a few pieces of two images tell of the whole.
 *
 * @param pieces how many had anything to read
 * @param equalPages how many pages in them are equal; and
 * @param differentPages how many are not
 * @param differentRuns in how many runs those lie
 * @param oneIn the whole has so many times as many pieces
 */
record Sample(long pieces, long equalPages, long differentPages, long differentRuns, int oneIn) {
    /** With fewer, chance would decide. */
    private static final int ENOUGH_PIECES = 32;
    /** One page that differs makes the kernel's comparison of all around it useless. */
    private static final int EQUAL_TO_DIFFERENT = 4;
    private static final int MARGIN = 2;
    /** Looking for runs shorter than this takes longer than what it saves. */
    private static final int SHORTEST_LOOKED_FOR = 16;
    private static final int LONGEST_DISTANCE = 256;

    /**
     * Whether the images are so much alike, and what differs lies in so long runs, that reading the rest would change
     * nothing about sharing.
     */
    boolean isClear(FragmentationPolicy policy, long canonicalExtents, long imageBytes) {
        return pieces >= ENOUGH_PIECES && equalPages >= EQUAL_TO_DIFFERENT * differentPages && equalPages > 0
                && 2L * MARGIN * oneIn * differentRuns + canonicalExtents <= policy.mostExtentsToShare(imageBytes);
    }

    /** One look in so many pages finds most runs of pages that differ; none if they are too short to look for. */
    OptionalInt pagesBetweenLooks() {
        long distance = differentRuns == 0
                ? LONGEST_DISTANCE : Math.min(LONGEST_DISTANCE, Long.highestOneBit(differentPages / differentRuns));
        return distance < SHORTEST_LOOKED_FOR ? OptionalInt.empty() : OptionalInt.of((int) distance);
    }
}
