package io.microsnap.dedup;

/** How a sibling is chosen among the snapshots of the same image, size and layout. */
public enum SiblingPolicy {
    /**
     * The one with the most pages in common according to the page indexes; among equals its parent, then the newest.
     */
    MOST_ALIKE,
    /** The newest, whatever its content. */
    NEWEST
}
