package io.microsnap.core.internal.posix;

/** The result of {@code fstat}: filled by the call, read by the caller, reusable. */
public final class Stat {
    private static final int TYPE_MASK = 0xF000;
    private static final int DIRECTORY = 0x4000;
    private static final int REGULAR = 0x8000;
    private static final int SYMBOLIC_LINK = 0xA000;
    private static final int BLOCK_DEVICE = 0x6000;

    long device;
    long inode;
    int mode;
    long links;
    int owner;
    int group;
    long sizeBytes;
    long allocatedBytes;
    int blockSizeBytes;
    long accessedSeconds;
    int accessedNanos;
    long modifiedSeconds;
    int modifiedNanos;
    long changedSeconds;
    int changedNanos;
    boolean tellsDirectAlignment;
    int directMemoryBytes;
    int directOffsetBytes;

    /** Returns the device that holds the file; with the inode it tells two names of one file. */
    public long device() {
        return device;
    }

    public long inode() {
        return inode;
    }

    /** Returns the permission bits alone, without the file's type. */
    public int permissions() {
        return mode & 07777;
    }

    public long links() {
        return links;
    }

    public int owner() {
        return owner;
    }

    public int group() {
        return group;
    }

    public long sizeBytes() {
        return sizeBytes;
    }

    /** Returns the space that the file occupies, as the filesystem reports it; shared blocks count in each file. */
    public long allocatedBytes() {
        return allocatedBytes;
    }

    /** Returns the filesystem's preferred unit of transfer. */
    public int blockSizeBytes() {
        return blockSizeBytes;
    }

    public long accessedSeconds() {
        return accessedSeconds;
    }

    public int accessedNanos() {
        return accessedNanos;
    }

    public long modifiedSeconds() {
        return modifiedSeconds;
    }

    public int modifiedNanos() {
        return modifiedNanos;
    }

    public long changedSeconds() {
        return changedSeconds;
    }

    public int changedNanos() {
        return changedNanos;
    }

    public boolean isDirectory() {
        return (mode & TYPE_MASK) == DIRECTORY;
    }

    public boolean isRegularFile() {
        return (mode & TYPE_MASK) == REGULAR;
    }

    public boolean isBlockDevice() {
        return (mode & TYPE_MASK) == BLOCK_DEVICE;
    }

    /** Returns whether the kernel said how direct I/O on the file must be aligned; only {@code fstat} on Linux asks. */
    public boolean tellsDirectAlignment() {
        return tellsDirectAlignment;
    }

    /** Returns the alignment of memory for direct I/O; 0 where the file takes none. */
    public int directMemoryBytes() {
        return directMemoryBytes;
    }

    /** Returns the alignment of offsets and lengths for direct I/O; 0 where the file takes none. */
    public int directOffsetBytes() {
        return directOffsetBytes;
    }

    public boolean isSymbolicLink() {
        return (mode & TYPE_MASK) == SYMBOLIC_LINK;
    }

    /**
     * Returns whether it is the same file and, as far as length and time of modification tell, was not written in
     * between.
     */
    public boolean isUnchangedSince(Stat earlier) {
        return sameFile(earlier) && sizeBytes == earlier.sizeBytes && modifiedSeconds == earlier.modifiedSeconds
                && modifiedNanos == earlier.modifiedNanos;
    }

    /** Returns whether both describe the same file, whatever its names. */
    public boolean sameFile(Stat other) {
        return device == other.device && inode == other.inode;
    }
}
