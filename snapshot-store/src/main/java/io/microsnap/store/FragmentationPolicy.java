package io.microsnap.store;

/**
 * In how many extents an image may lie. Every scattered change to a clone, and every run that images share, cuts an
 * extent; cloning, syncing and reading an image take longer the more it has. So an image is cloned, and shares
 * blocks, up to a limit. Beyond it snapshots are kept as diffs, one on another, and beyond that in full.
 *
 * @param extentsPerGiBToClone up to how many extents for each GiB of it a base is cloned
 * @param mostDiffs how many diffs may build on one another
 * @param extentsPerGiBToShare how many extents for each GiB an image may have through sharing blocks with another
 * @param leastPercentToShare which part of an image's data must be equal for sharing to be worth its while
 */
public record FragmentationPolicy(
        long extentsPerGiBToClone, int mostDiffs, long extentsPerGiBToShare, int leastPercentToShare) {
    /**
     * Clones up to 4,096 extents a GiB, eight diffs, sharing up to 2,048 extents a GiB, at least a twentieth. XFS takes
     * about 15 µs for each extent that it clones. What an image in as many pieces as sharing may make costs a later
     * cold read is measured by the scenario {@code dedup/xfs/later/full-read}.
     */
    public static final FragmentationPolicy DEFAULT = new FragmentationPolicy(4096, 8, 2048, 5);

    private static final long GIB = 1L << 30;
    /** An image of a few MiB may have some, too. */
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

    /** This policy with another limit for clones; {@link Long#MAX_VALUE} for none. */
    public FragmentationPolicy withExtentsPerGiBToClone(long limit) {
        return new FragmentationPolicy(limit, mostDiffs, extentsPerGiBToShare, leastPercentToShare);
    }

    /** This policy with another limit for diffs; 0 for none at all. */
    public FragmentationPolicy withMostDiffs(int limit) {
        return new FragmentationPolicy(extentsPerGiBToClone, limit, extentsPerGiBToShare, leastPercentToShare);
    }

    /** This policy with another limit for sharing; {@link Long#MAX_VALUE} for none. */
    public FragmentationPolicy withExtentsPerGiBToShare(long limit) {
        return new FragmentationPolicy(extentsPerGiBToClone, mostDiffs, limit, leastPercentToShare);
    }

    /** This policy with another least part to share; with 0 a single page is enough. */
    public FragmentationPolicy withLeastPercentToShare(int percent) {
        return new FragmentationPolicy(extentsPerGiBToClone, mostDiffs, extentsPerGiBToShare, percent);
    }

    /** This policy, but whatever is equal is shared, whatever that costs later. */
    public FragmentationPolicy sharingEverything() {
        return new FragmentationPolicy(extentsPerGiBToClone, mostDiffs, Long.MAX_VALUE, 0);
    }

    /** Up to how many extents an image of this length is cloned. */
    public long mostExtentsToClone(long imageBytes) {
        return extents(extentsPerGiBToClone, imageBytes);
    }

    /** How many extents an image of this length may have through sharing. */
    public long mostExtentsToShare(long imageBytes) {
        return extents(extentsPerGiBToShare, imageBytes);
    }

    /** Whether that much of that much data is worth sharing. */
    public boolean isWorthSharing(long gainedBytes, long dataBytes) {
        return gainedBytes > 0 && gainedBytes >= (double) dataBytes / PERCENT * leastPercentToShare;
    }

    private static long extents(long perGiB, long imageBytes) {
        // As a double: any limit times any length is a number.
        return Math.max(ALWAYS_ALLOWED, (long) ((double) perGiB * imageBytes / GIB));
    }
}
