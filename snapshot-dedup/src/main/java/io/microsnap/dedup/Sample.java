package io.microsnap.dedup;

/**
 * What a few pieces of two images tell of the whole.
 *
 * @param pieces how many had anything to read
 * @param equalPages how many pages in them are equal; and
 * @param differentPages how many are not
 * @param differentRuns in how many runs those lie, counted up to the whole
 */
record Sample(long pieces, long equalPages, long differentPages, long differentRuns) {
    /** With fewer, chance would decide. */
    private static final int ENOUGH_PIECES = 32;
    /** One page that differs makes the kernel's comparison of all around it useless. */
    private static final int EQUAL_TO_DIFFERENT = 4;
    private static final int MARGIN = 2;

    /**
     * Whether the images are so much alike, and what differs lies in so long runs, that reading the rest would change
     * nothing about sharing.
     */
    boolean isClear(FragmentationBudget budget, long canonicalExtents, long imageBytes) {
        return pieces >= ENOUGH_PIECES && equalPages >= EQUAL_TO_DIFFERENT * differentPages && equalPages > 0
                && budget.allows(2 * MARGIN * differentRuns + canonicalExtents, imageBytes);
    }
}
