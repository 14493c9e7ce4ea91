package io.microsnap.dedup;

/** The ways to make an image share blocks with another. */
public enum Engine {
    /**
     * The kernel compares ranges of both files itself and makes them share blocks where it finds them equal. The target
     * stays the same file, with its inode, attributes and mappings, and a concurrent writer is safe. Linux only; the
     * default on btrfs. Elsewhere a process that has the target mapped may see zeros for a moment: an image in use is
     * left alone there, and a snapshot must not be restored before the call returns.
     */
    SHARE_IN_PLACE,
    /**
     * A clone of the canonical image gets the target's differing ranges and replaces the target in one step. A process
     * that has the old file open or mapped keeps it, and its space, until it closes it. The default, except on btrfs.
     */
    CLONE_AND_SWAP
}
