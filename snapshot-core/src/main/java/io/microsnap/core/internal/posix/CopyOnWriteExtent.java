package io.microsnap.core.internal.posix;

import java.lang.foreign.Arena;
import java.lang.foreign.MemorySegment;
import java.lang.foreign.ValueLayout;

/**
 * How much XFS reserves when one block of a clone is written first: 128 KiB unless told otherwise, so that scattered
 * changes to a clone take up to 32 times their size.
 */
public final class CopyOnWriteExtent {
    private static final long BYTES = 28;
    private static final long EXTENDED_FLAGS = 0;
    private static final long SIZE = 16;
    private static final int FLAG_HAS_SIZE = 0x10000;

    private CopyOnWriteExtent() {
    }

    /** Sets the size, a multiple of the filesystem's block. The raw result is zero, or {@code -errno}. */
    public static int set(Posix posix, int descriptor, int sizeBytes) {
        try (Arena arena = Arena.ofConfined()) {
            MemorySegment attributes = arena.allocate(BYTES, Integer.BYTES);
            int result = posix.ioctl(descriptor, posix.constants().FS_IOC_FSGETXATTR, attributes);
            if (result < 0) {
                return result;
            }
            attributes.set(ValueLayout.JAVA_INT, EXTENDED_FLAGS,
                    attributes.get(ValueLayout.JAVA_INT, EXTENDED_FLAGS) | FLAG_HAS_SIZE);
            attributes.set(ValueLayout.JAVA_INT, SIZE, sizeBytes);
            return posix.ioctl(descriptor, posix.constants().FS_IOC_FSSETXATTR, attributes);
        }
    }
}
