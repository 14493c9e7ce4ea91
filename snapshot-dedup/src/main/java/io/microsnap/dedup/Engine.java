package io.microsnap.dedup;

/** By which means an image shares blocks with another. */
public enum Engine {
    /**
     * The kernel compares ranges of both files itself and lets them share blocks where it finds them equal. The
     * target stays the same file: inode, attributes, mappings; a writer at the same time is safe. Linux.
     */
    SHARE_IN_PLACE,
    /**
     * A clone of the canonical image gets the target's differing ranges and takes the target's place, in one step. A
     * process that has the old file open keeps it, and its space, until it closes it.
     */
    CLONE_AND_SWAP
}
