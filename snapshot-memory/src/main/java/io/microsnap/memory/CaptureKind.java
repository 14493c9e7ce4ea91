package io.microsnap.memory;

/** How a capture keeps what it captures. */
public enum CaptureKind {
    /**
     * The cheapest that is right, within the limits of the {@linkplain io.microsnap.store.FragmentationPolicy
     * fragmentation policy}: onto the base where the base holds every page, the filesystem can clone and the base lies
     * in few enough extents; else a diff, unless too many would build on one another or it would replace what it needs;
     * else full. Full, too, where there is no base to build on.
     */
    AUTOMATIC,
    /** Every page, in an image of its own. */
    FULL,
    /** Only the pages that changed; the base stays required. */
    DIFF,
    /** A clone of the base with the pages that changed written into it: complete, and the base may go. */
    ONTO_BASE
}
