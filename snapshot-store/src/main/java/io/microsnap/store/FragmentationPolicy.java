package io.microsnap.store;

/**
 * Limits the number of extents in which an image may lie. Every scattered change to a clone, and every run that images
 * share, splits an extent; the more extents an image has, the longer it takes to clone, sync and read. So an image is
 * cloned and shares blocks only up to a limit. Beyond it captures store diffs that build on one another, and beyond a
 * second limit full images.
 *
 * @param extentsPerGiBToClone up to how many extents for each GiB of it a base is cloned
 * @param mostDiffs how many diffs may build on one another
 * @param extentsPerGiBToShare how many extents for each GiB an image may have through sharing blocks with another
 * @param leastPercentToShare the least percentage of an image's data that must be equal to make sharing worthwhile
 */
public record FragmentationPolicy(
        long extentsPerGiBToClone, int mostDiffs, long extentsPerGiBToShare, int leastPercentToShare) {
    /**
     * Clones up to 4,096 extents a GiB, eight diffs, sharing up to 2,048 extents a GiB, at least a twentieth. XFS takes
     * about 15 µs for each extent that it clones. The scenario {@code dedup/xfs/later/full-read} measures what the most
     * fragmented image that sharing makes costs a later cold read.
     */
    public static final FragmentationPolicy DEFAULT = new FragmentationPolicy(4096, 8, 2048, 5);

    private static final long GIB = 1L << 30;
    /** Allowed for every image, however small. */
    private static final long ALWAYS_ALLOWED = 64;
    private static final int PERCENT = 100;
    /** A restore opens and maps every image of a chain. */
    private static final int LONGEST_CHAIN = 256;

    public FragmentationPolicy {
        require(extentsPerGiBToClone >= 0, extentsPerGiBToClone + " extents a GiB to clone", "a number from 0 on");
        require(mostDiffs >= 0 && mostDiffs <= LONGEST_CHAIN, mostDiffs + " diffs", "0 to " + LONGEST_CHAIN);
        require(extentsPerGiBToShare >= 0, extentsPerGiBToShare + " extents a GiB to share", "a number from 0 on");
        require(leastPercentToShare >= 0 && leastPercentToShare <= PERCENT, leastPercentToShare + " % to share",
                "0 to " + PERCENT);
    }

    private static void require(boolean holds, String limit, String allowed) {
        if (!holds) {
            throw new IllegalArgumentException("a fragmentation policy cannot have " + limit + ": give " + allowed);
        }
    }

    /** Returns this policy with another limit for clones; {@link Long#MAX_VALUE} for none. */
    public FragmentationPolicy withExtentsPerGiBToClone(long limit) {
        return new FragmentationPolicy(limit, mostDiffs, extentsPerGiBToShare, leastPercentToShare);
    }

    /** Returns this policy with another limit for diffs; 0 for no diffs. */
    public FragmentationPolicy withMostDiffs(int limit) {
        return new FragmentationPolicy(extentsPerGiBToClone, limit, extentsPerGiBToShare, leastPercentToShare);
    }

    /** Returns this policy with another limit for sharing; {@link Long#MAX_VALUE} for none. */
    public FragmentationPolicy withExtentsPerGiBToShare(long limit) {
        return new FragmentationPolicy(extentsPerGiBToClone, mostDiffs, limit, leastPercentToShare);
    }

    /** Returns this policy with another least part to share; with 0 a single page is enough. */
    public FragmentationPolicy withLeastPercentToShare(int percent) {
        return new FragmentationPolicy(extentsPerGiBToClone, mostDiffs, extentsPerGiBToShare, percent);
    }

    /** Returns this policy, changed to share everything that is equal, whatever that costs later. */
    public FragmentationPolicy sharingEverything() {
        return new FragmentationPolicy(extentsPerGiBToClone, mostDiffs, Long.MAX_VALUE, 0);
    }

    /** Returns up to how many extents an image of this length is cloned. */
    public long mostExtentsToClone(long imageBytes) {
        return extents(extentsPerGiBToClone, imageBytes);
    }

    /** Returns how many extents an image of this length may have through sharing. */
    public long mostExtentsToShare(long imageBytes) {
        return extents(extentsPerGiBToShare, imageBytes);
    }

    /** Returns whether gaining this much out of this much data is worth sharing. */
    public boolean isWorthSharing(long gainedBytes, long dataBytes) {
        return gainedBytes > 0 && gainedBytes >= (double) dataBytes / PERCENT * leastPercentToShare;
    }

    private static long extents(long perGiB, long imageBytes) {
        // As a double, because the product of a limit and a length may overflow a long.
        return Math.max(ALWAYS_ALLOWED, (long) ((double) perGiB * imageBytes / GIB));
    }
}
