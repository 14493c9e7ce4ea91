package io.microsnap.dedup;

/** How much a report measures. */
public enum Accounting {
    /** Only pages and time. */
    PAGES,
    /** Also the target's exclusive and shared extents, before and after. */
    EXTENTS,
    /** Also the filesystem's free space, before and after; everything on it is synced before each measurement. */
    FREE_SPACE
}
