package io.microsnap.core.internal.posix;

import java.lang.foreign.Arena;
import java.lang.foreign.MemorySegment;
import java.lang.foreign.ValueLayout;

/**
 * Waits for XFS to free the blocks of removed files. XFS frees them in the background and counts them as free only
 * then; neither {@code statfs} nor a sync waits for that.
 */
public final class DeferredFrees {
    // XFS_IOC_FREE_EOFBLOCKS and its struct xfs_fs_eofblocks: in the headers of XFS, not in those of the kernel.
    private static final long REQUEST = 0x8080583AL;
    private static final long BYTES = 128;
    private static final long VERSION = 0;
    private static final long FLAGS = 4;
    private static final long LEAST_FILE_BYTES = 24;
    private static final int FLAG_HAS_LEAST = 1 << 4;

    private DeferredFrees() {
    }

    /**
     * Returns once the XFS that holds the file has freed everything removed before the call. The raw result is zero, or
     * {@code -errno}: {@link Errno#EPERM} without the right to administer, {@link Errno#ENOTTY} elsewhere.
     */
    public static int await(Posix posix, int descriptor) {
        if (posix.constants().operatingSystem() != OperatingSystem.LINUX) {
            return -Errno.ENOTTY.number(posix.constants());
        }
        try (Arena arena = Arena.ofConfined()) {
            MemorySegment request = arena.allocate(BYTES, Long.BYTES);
            request.set(ValueLayout.JAVA_INT, VERSION, 1);
            // The call only has to wait: with this minimum size it trims no file.
            request.set(ValueLayout.JAVA_INT, FLAGS, FLAG_HAS_LEAST);
            request.set(ValueLayout.JAVA_LONG, LEAST_FILE_BYTES, Long.MAX_VALUE);
            return posix.ioctl(descriptor, REQUEST, request);
        }
    }
}
