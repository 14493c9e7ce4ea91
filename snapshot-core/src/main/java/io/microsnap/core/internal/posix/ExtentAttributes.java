package io.microsnap.core.internal.posix;

import java.lang.foreign.Arena;
import java.lang.foreign.MemorySegment;
import java.lang.foreign.ValueLayout;

/**
 * Linux's {@code FS_IOC_FSGETXATTR} and {@code FS_IOC_FSSETXATTR}: the number of a file's extents on XFS, and how much
 * XFS reserves for the next one.
 */
public final class ExtentAttributes {
    static final long BYTES = 28;
    static final long EXTENDED_FLAGS = 0;
    static final long EXTENTS = 8;
    static final long COPY_ON_WRITE_SIZE = 16;
    private static final int FLAG_HAS_SIZE = 0x10000;

    private ExtentAttributes() {
    }

    /** Returns in how many extents a file of XFS lies, or {@code -errno}. Other filesystems answer zero. */
    public static long extents(Posix posix, int descriptor) {
        try (Arena arena = Arena.ofConfined()) {
            MemorySegment attributes = arena.allocate(BYTES, Integer.BYTES);
            int result = posix.ioctl(descriptor, posix.constants().FS_IOC_FSGETXATTR, attributes);
            return result < 0 ? result : Integer.toUnsignedLong(attributes.get(ValueLayout.JAVA_INT, EXTENTS));
        }
    }

    /**
     * Sets how much XFS reserves when one block of a clone is first written, a multiple of the filesystem's block. The
     * default is 128 KiB, with which scattered changes to a clone take up to 32 times their size. The raw result is
     * zero, or {@code -errno}.
     */
    public static int setCopyOnWriteBytes(Posix posix, int descriptor, int sizeBytes) {
        try (Arena arena = Arena.ofConfined()) {
            MemorySegment attributes = arena.allocate(BYTES, Integer.BYTES);
            int result = posix.ioctl(descriptor, posix.constants().FS_IOC_FSGETXATTR, attributes);
            if (result < 0) {
                return result;
            }
            attributes.set(ValueLayout.JAVA_INT, EXTENDED_FLAGS,
                    attributes.get(ValueLayout.JAVA_INT, EXTENDED_FLAGS) | FLAG_HAS_SIZE);
            attributes.set(ValueLayout.JAVA_INT, COPY_ON_WRITE_SIZE, sizeBytes);
            return posix.ioctl(descriptor, posix.constants().FS_IOC_FSSETXATTR, attributes);
        }
    }
}
