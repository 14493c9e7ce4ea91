package io.microsnap.core.internal.file;

/** What becomes of the room that a file gains when it grows. It reads as zeros whichever it is. */
public enum Preallocation {
    /** It takes no space. */
    NONE,
    /** It has space, known to be zeros. */
    ZERO,
    /** It has space, so that later writes do not find the disk full. */
    ALLOCATE,
    /** Zeros are written. */
    WRITE_DATA
}
