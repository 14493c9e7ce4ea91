package io.microsnap.dedup;

/** By what a sibling is chosen among the snapshots of the same image, size and layout. */
public enum SiblingPolicy {
    /** The one with the most pages in common, as far as page indexes tell; then its lineage, then the newest. */
    MOST_ALIKE,
    /** The newest, whatever it holds. */
    NEWEST
}
