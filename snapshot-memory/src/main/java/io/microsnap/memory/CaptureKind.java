package io.microsnap.memory;

/** How a capture stores memory. */
public enum CaptureKind {
    /**
     * The cheapest kind that is possible, within the limits of the {@linkplain io.microsnap.store.FragmentationPolicy
     * fragmentation policy}: onto the base if the base holds every page, the filesystem can clone and the base lies in
     * few enough extents; else a diff, unless the chain would be too long or the diff would replace its own base; else
     * full. Also full if there is no base to build on.
     */
    AUTOMATIC,
    /** Every page, in an image of its own. */
    FULL,
    /** Only the pages that changed; the base stays required. */
    DIFF,
    /** A clone of the base with the changed pages written into it: complete, and the base may be deleted. */
    ONTO_BASE
}
