package io.microsnap.core.internal.posix;

/** The result of {@code fstatfs}: filled by the call, read by the caller, reusable. */
public final class FileSystemStat {
    /** The {@link #type} that Linux has for btrfs. */
    public static final long BTRFS = 0x9123683EL;
    /** The {@link #type} that Linux has for tmpfs. */
    public static final long TMPFS = 0x01021994;
    /** The {@link #type} that Linux has for XFS. */
    public static final long XFS = 0x58465342;

    long type;
    long blockSizeBytes;
    long totalBytes;
    long freeBytes;
    long availableBytes;

    /**
     * Sets the sizes from counts of blocks. They are capped: a filesystem without limits may report more bytes than a
     * long holds.
     */
    void set(long blockBytes, long blocks, long freeBlocks, long availableBlocks) {
        blockSizeBytes = blockBytes;
        totalBytes = bytes(blockBytes, blocks);
        freeBytes = bytes(blockBytes, freeBlocks);
        availableBytes = bytes(blockBytes, availableBlocks);
    }

    private static long bytes(long blockBytes, long blocks) {
        boolean fits = blocks >= 0 && Math.multiplyHigh(blockBytes, blocks) == 0 && blockBytes * blocks >= 0;
        return fits ? blockBytes * blocks : Long.MAX_VALUE;
    }

    /** Returns the filesystem's magic number (Linux) or type number (macOS). */
    public long type() {
        return type;
    }

    /** Returns the unit in which the filesystem allocates. */
    public long blockSizeBytes() {
        return blockSizeBytes;
    }

    public long totalBytes() {
        return totalBytes;
    }

    public long freeBytes() {
        return freeBytes;
    }

    /** Free bytes that an unprivileged caller may use. */
    public long availableBytes() {
        return availableBytes;
    }
}
