package io.microsnap.machine;

/** The order in which a guest program touches pages. */
public enum Pattern {
    /** One after another, over and over. */
    SEQUENTIAL(1),
    /** Everywhere, in an order that the seed decides; all pages are touched before one repeats. */
    RANDOM(1),
    /** Seven of eight touches in the first sixteenth of the range, the rest everywhere. */
    HOT_SET(1),
    /** Runs of sixteen pages, everywhere; all runs are touched before one repeats. */
    RUNS(16);

    private final int runPages;

    Pattern(int runPages) {
        this.runPages = runPages;
    }

    /** Returns how many neighbouring pages are touched together. */
    public int runPages() {
        return runPages;
    }
}
