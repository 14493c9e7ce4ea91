package io.microsnap.core.internal.file;

/** How space is allocated when a file grows. The new range reads as zeros in each case. */
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
