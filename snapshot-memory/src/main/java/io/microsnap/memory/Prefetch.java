package io.microsnap.memory;

/** Says which part of a snapshot a lazy restore reads ahead. */
public enum Prefetch {
    /** Nothing: each page is read when it is touched, together with the kernel's readahead. */
    NONE,
    /**
     * The snapshot's working set, which {@link RestoredSnapshot#recordWorkingSet} records; the rest is read page by
     * page, when it is touched. Where nothing was recorded this is {@link #NONE}.
     */
    WORKING_SET,
    /** All pages of the snapshot. */
    EVERYTHING
}
