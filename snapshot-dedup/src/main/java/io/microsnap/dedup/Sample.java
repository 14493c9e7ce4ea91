package io.microsnap.dedup;

import io.microsnap.store.FragmentationPolicy;
import java.util.OptionalInt;

/**
 * A sample of pieces of two images, from which the whole is estimated.
 *
 * @param pieces how many pieces had anything to read
 * @param equalPages how many pages in them are equal; and
 * @param differentPages how many are not
 * @param differentRuns in how many runs the different pages lie
 * @param oneIn the whole has this many times as many pieces
 */
record Sample(long pieces, long equalPages, long differentPages, long differentRuns, int oneIn) {
    /** With fewer pieces, chance would decide. */
    private static final int ENOUGH_PIECES = 32;
    /** A page that differs makes the kernel's comparison of the pages around it useless. */
    private static final int EQUAL_TO_DIFFERENT = 4;
    private static final int MARGIN = 2;
    /** Searching for runs shorter than this takes longer than it saves. */
    private static final int SHORTEST_LOOKED_FOR = 16;
    private static final int LONGEST_DISTANCE = 256;

    /**
     * Returns whether the images are so similar, and the differences in such long runs, that reading the rest would not
     * change the decision to share.
     */
    boolean isClear(FragmentationPolicy policy, long canonicalExtents, long imageBytes) {
        return pieces >= ENOUGH_PIECES && equalPages >= EQUAL_TO_DIFFERENT * differentPages && equalPages > 0
                && 2L * MARGIN * oneIn * differentRuns + canonicalExtents <= policy.mostExtentsToShare(imageBytes);
    }

    /**
     * Returns the distance at which reading single pages finds most runs of different pages; empty if the runs are too
     * short.
     */
    OptionalInt pagesBetweenLooks() {
        long distance = differentRuns == 0
                ? LONGEST_DISTANCE : Math.min(LONGEST_DISTANCE, Long.highestOneBit(differentPages / differentRuns));
        return distance < SHORTEST_LOOKED_FOR ? OptionalInt.empty() : OptionalInt.of((int) distance);
    }
}
