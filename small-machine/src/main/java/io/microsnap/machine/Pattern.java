package io.microsnap.machine;

/** In which order a guest program touches pages. */
public enum Pattern {
    /** One after another, over and over. */
    SEQUENTIAL(1),
    /** All over, in an order that the seed decides; none twice before all were touched once. */
    RANDOM(1),
    /** Seven of eight touches in the first sixteenth of the range, the rest all over. */
    HOT_SET(1),
    /** Runs of sixteen pages, all over; none twice before all were touched once. */
    RUNS(16);

    private final int runPages;

    Pattern(int runPages) {
        this.runPages = runPages;
    }

    /** How many neighbouring pages are touched together. */
    public int runPages() {
        return runPages;
    }
}
