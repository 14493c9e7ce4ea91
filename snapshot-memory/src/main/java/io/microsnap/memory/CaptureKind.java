package io.microsnap.memory;

/** How a capture keeps what it captures. */
public enum CaptureKind {
    /**
     * The cheapest that is right: onto the base where the base holds every page and the filesystem can clone, else a
     * diff; full where there is no base to build on.
     */
    AUTOMATIC,
    /** Every page, in an image of its own. */
    FULL,
    /** Only the pages that changed; the base stays required. */
    DIFF,
    /** A clone of the base with the pages that changed written into it: complete, and the base may go. */
    ONTO_BASE
}
