package io.microsnap.core.internal.file;

/** How a file is mapped. */
public enum Access {
    /** The file's own pages, to be read; Java code that writes gets an exception. */
    SHARED_READ,
    /** The file's own pages; what is written goes to the file. */
    SHARED_WRITE,
    /** The file's bytes until written; what is written stays in this mapping. */
    PRIVATE
}
