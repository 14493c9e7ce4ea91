package io.microsnap.core.internal.posix;

import java.lang.foreign.Arena;
import java.lang.foreign.MemorySegment;
import java.lang.foreign.ValueLayout;

/**
 * Linux's requests that make files share blocks, with raw results like those of {@link Posix}: {@code FICLONE}, {@code
 * FICLONERANGE}, {@code FIDEDUPERANGE}. Elsewhere each answers {@link Errno#ENOSYS}.
 */
public final class BlockSharing {
    private static final long CLONE_RANGE_BYTES = 32;
    private static final long CLONE_SOURCE = 0;
    private static final long CLONE_SOURCE_OFFSET = 8;
    private static final long CLONE_LENGTH = 16;
    private static final long CLONE_OFFSET = 24;

    private static final long DEDUPE_BYTES = 56;
    private static final long DEDUPE_SOURCE_OFFSET = 0;
    private static final long DEDUPE_LENGTH = 8;
    private static final long DEDUPE_COUNT = 16;
    private static final long DEDUPE_DESTINATION = 24;
    private static final long DEDUPE_OFFSET = 32;
    private static final long DEDUPE_SHARED = 40;
    private static final long DEDUPE_STATUS = 48;
    private static final int STATUS_DIFFERS = 1;

    private BlockSharing() {
    }

    /** Replaces the destination's whole content by the source's. */
    public static int clone(Posix posix, int destination, int source) {
        long request = posix.constants().FICLONE;
        return request == 0 ? absent(posix) : posix.ioctl(destination, request, source);
    }

    /** Replaces a range of the destination by one of the source; a length of zero means up to the source's end. */
    public static int cloneRange(
            Posix posix, int destination, long offset, int source, long sourceOffset, long lengthBytes) {
        long request = posix.constants().FICLONERANGE;
        if (request == 0) {
            return absent(posix);
        }
        try (Arena arena = Arena.ofConfined()) {
            MemorySegment range = arena.allocate(CLONE_RANGE_BYTES, Long.BYTES);
            range.set(ValueLayout.JAVA_LONG, CLONE_SOURCE, source);
            range.set(ValueLayout.JAVA_LONG, CLONE_SOURCE_OFFSET, sourceOffset);
            range.set(ValueLayout.JAVA_LONG, CLONE_LENGTH, lengthBytes);
            range.set(ValueLayout.JAVA_LONG, CLONE_OFFSET, offset);
            return posix.ioctl(destination, request, range);
        }
    }

    /**
     * Shares a range of the source with the destination if the kernel finds their bytes equal. Returns how many bytes
     * are shared now, which may be fewer than asked; {@link Long#MAX_VALUE} if the bytes differ; or {@code -errno}.
     */
    public static long dedupeRange(
            Posix posix, int destination, long offset, int source, long sourceOffset, long lengthBytes) {
        long request = posix.constants().FIDEDUPERANGE;
        if (request == 0) {
            return absent(posix);
        }
        try (Arena arena = Arena.ofConfined()) {
            MemorySegment range = arena.allocate(DEDUPE_BYTES, Long.BYTES);
            range.set(ValueLayout.JAVA_LONG, DEDUPE_SOURCE_OFFSET, sourceOffset);
            range.set(ValueLayout.JAVA_LONG, DEDUPE_LENGTH, lengthBytes);
            range.set(ValueLayout.JAVA_SHORT, DEDUPE_COUNT, (short) 1);
            range.set(ValueLayout.JAVA_LONG, DEDUPE_DESTINATION, destination);
            range.set(ValueLayout.JAVA_LONG, DEDUPE_OFFSET, offset);
            int result = posix.ioctl(source, request, range);
            if (result < 0) {
                return result;
            }
            int status = range.get(ValueLayout.JAVA_INT, DEDUPE_STATUS);
            if (status == STATUS_DIFFERS) {
                return Long.MAX_VALUE;
            }
            return status < 0 ? status : range.get(ValueLayout.JAVA_LONG, DEDUPE_SHARED);
        }
    }

    private static int absent(Posix posix) {
        return -Errno.ENOSYS.number(posix.constants());
    }
}
