package io.microsnap.core.internal.posix;

import java.lang.foreign.Arena;
import java.lang.foreign.MemorySegment;
import java.lang.foreign.ValueLayout;

/**
 * What XFS still has to give back: a removed file's blocks are freed in the background, and count as free only then.
 * Neither asking for free space nor a sync waits for that.
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
     * Returns when everything is freed that was removed before, on the XFS that holds the file. The raw result is zero,
     * or {@code -errno}: {@link Errno#EPERM} without the right to administer, {@link Errno#ENOTTY} elsewhere.
     */
    public static int await(Posix posix, int descriptor) {
        if (posix.constants().operatingSystem() != OperatingSystem.LINUX) {
            return -Errno.ENOTTY.number(posix.constants());
        }
        try (Arena arena = Arena.ofConfined()) {
            MemorySegment request = arena.allocate(BYTES, Long.BYTES);
            request.set(ValueLayout.JAVA_INT, VERSION, 1);
            // Waiting is all we want of it: no file is so large that it would be trimmed.
            request.set(ValueLayout.JAVA_INT, FLAGS, FLAG_HAS_LEAST);
            request.set(ValueLayout.JAVA_LONG, LEAST_FILE_BYTES, Long.MAX_VALUE);
            return posix.ioctl(descriptor, REQUEST, request);
        }
    }
}
