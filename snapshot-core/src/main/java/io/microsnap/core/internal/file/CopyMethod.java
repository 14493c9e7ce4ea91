package io.microsnap.core.internal.file;

/** How a copy was made. */
public enum CopyMethod {
    /** The copy shares the source's blocks. */
    CLONED,
    /** The system copied the ranges that hold data, and may have shared blocks where it could. */
    IN_KERNEL,
    /** The ranges that hold data were read and written, some of them perhaps after the system had copied others. */
    READ_AND_WRITTEN,
    /** The filesystem could not tell data from holes: everything was read, and what was not zero was written. */
    ZEROS_LEFT_OUT
}
