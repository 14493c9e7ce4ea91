package io.microsnap.dedup;

/**
 * What sharing may cost later reads, and what it must bring to be worth that. Every run shared between changed ones
 * cuts an extent; reading, cloning and syncing an image take longer the more extents it has. Images of half a GiB and
 * more that have no indexes may be judged by a sample, with a margin.
 *
 * @param shortestRunBytes equal runs shorter than this, between pages that differ, are not shared
 * @param extentsPerGiB how many extents the image may have for each GiB of it
 * @param leastPercent how much of the target's data must become shared at least
 */
public record FragmentationBudget(long shortestRunBytes, long extentsPerGiB, int leastPercent) {
    /**
     * Extents of 512 KiB on average, and at least a twentieth of the data shared. What an image in so many pieces costs
     * a later cold read is measured by the scenario {@code dedup/xfs/later/full-read}, with a usual image and with one
     * that uses this budget up.
     */
    public static final FragmentationBudget DEFAULT = new FragmentationBudget(64 << 10, 2048, 5);

    /** Shares whatever is equal, whatever it costs. */
    public static final FragmentationBudget UNLIMITED = new FragmentationBudget(0, Long.MAX_VALUE, 0);

    private static final long GIB = 1L << 30;
    // An image of a few MiB may have some, too.
    private static final long ALWAYS_ALLOWED = 64;

    public FragmentationBudget {
        if (shortestRunBytes < 0 || extentsPerGiB < 0 || leastPercent < 0 || leastPercent > 100) {
            throw new IllegalArgumentException("no budget has shortest runs of " + shortestRunBytes + " bytes, "
                    + extentsPerGiB + " extents per GiB and at least " + leastPercent + " %");
        }
    }

    boolean allows(long extents, long imageBytes) {
        return extents <= ALWAYS_ALLOWED || (double) extents * GIB <= (double) extentsPerGiB * imageBytes;
    }

    boolean isEnough(long gainedBytes, long dataBytes) {
        return gainedBytes > 0 && gainedBytes >= dataBytes / 100.0 * leastPercent;
    }
}
