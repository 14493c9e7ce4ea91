package io.microsnap.testsupport;

/** The file systems that tests run on; they differ in what they can share, how they allocate and what they refuse. */
public enum FileSystemKind {
    /** No reflinks; extents, delayed allocation. */
    EXT4(false),
    /** Made with reflinks. */
    XFS(true),
    /** Copy-on-write throughout, with reflinks. */
    BTRFS(true),
    /** Memory: no reflinks, no direct I/O, nothing durable. */
    TMPFS(false);

    private final boolean reflinks;

    FileSystemKind(boolean reflinks) {
        this.reflinks = reflinks;
    }

    /** Whether one file can share its blocks with another ({@code FICLONE}). */
    public boolean reflinks() {
        return reflinks;
    }

    /** The name by which {@code support/scratch-fs} knows it. */
    String scratchName() {
        return switch (this) {
            case EXT4 -> "ext4";
            case XFS -> "xfs";
            case BTRFS -> "btrfs";
            case TMPFS -> "tmpfs";
        };
    }
}
