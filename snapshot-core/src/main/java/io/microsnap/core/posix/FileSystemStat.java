package io.microsnap.core.posix;

/** What {@code fstatfs} tells of a filesystem: filled by the call, read by the caller, reusable. */
public final class FileSystemStat {
    long type;
    long blockSizeBytes;
    long totalBytes;
    long freeBytes;
    long availableBytes;

    /** The filesystem's magic number (Linux) or type number (macOS). */
    public long type() {
        return type;
    }

    /** The unit in which the filesystem allocates. */
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
