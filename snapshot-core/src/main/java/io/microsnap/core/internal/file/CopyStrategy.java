package io.microsnap.core.internal.file;

/** The ways in which a file may be copied. */
public enum CopyStrategy {
    /** Share the source's blocks where the filesystem can, else as {@link #SPARSE}. */
    AUTO,
    /** Share the source's blocks, or fail. */
    REFLINK,
    /** Copy what is data, leave holes holes; the filesystem may share blocks where it likes. */
    SPARSE,
    /** As {@link #SPARSE}, and no block is shared: damage to the source's blocks does not affect the copy. */
    UNSHARED
}
