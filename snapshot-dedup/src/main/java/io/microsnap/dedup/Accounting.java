package io.microsnap.dedup;

/** How much a report measures. */
public enum Accounting {
    /** Pages and time alone. */
    PAGES,
    /** And which extents the target has to itself and which it shares, before and after. */
    EXTENTS,
    /** And the filesystem's free space, before and after; each time everything on it is synced first. */
    FREE_SPACE
}
