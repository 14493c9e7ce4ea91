package io.microsnap.core.internal.file;

import io.microsnap.core.internal.posix.Constants;

/** Advice to the kernel about a range of a mapping. */
public enum Advice {
    NORMAL,
    /** No read-ahead: faults bring in what they touch. */
    RANDOM,
    SEQUENTIAL,
    /** Starts to read the range in, and returns. */
    WILL_NEED,
    /** Drops the range's pages. Anonymous memory reads as zeros afterwards, a private mapping as its file. */
    DISCARD,
    /** Punches the range out of the memfd or file behind a shared mapping. */
    REMOVE,
    DO_NOT_FORK,
    /** Keeps guest memory out of this process's core dumps. */
    DO_NOT_DUMP,
    HUGE_PAGES,
    NO_HUGE_PAGES,
    /** Maps every page of the range for reading, and reads in what is missing, before it returns. */
    POPULATE_READ,
    /** Gives every page of the range memory of its own before it returns. */
    POPULATE_WRITE;

    /** Returns the platform's number; 0 where it has no such advice. */
    int number(Constants constants) {
        return switch (this) {
            case NORMAL -> constants.MADV_NORMAL;
            case RANDOM -> constants.MADV_RANDOM;
            case SEQUENTIAL -> constants.MADV_SEQUENTIAL;
            case WILL_NEED -> constants.MADV_WILLNEED;
            case DISCARD -> constants.MADV_DONTNEED;
            case REMOVE -> constants.MADV_REMOVE;
            case DO_NOT_FORK -> constants.MADV_DONTFORK;
            case DO_NOT_DUMP -> constants.MADV_DONTDUMP;
            case HUGE_PAGES -> constants.MADV_HUGEPAGE;
            case NO_HUGE_PAGES -> constants.MADV_NOHUGEPAGE;
            case POPULATE_READ -> constants.MADV_POPULATE_READ;
            case POPULATE_WRITE -> constants.MADV_POPULATE_WRITE;
        };
    }
}
