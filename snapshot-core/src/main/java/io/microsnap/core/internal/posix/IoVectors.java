package io.microsnap.core.internal.posix;

import java.lang.foreign.Arena;
import java.lang.foreign.MemorySegment;
import java.lang.foreign.ValueLayout;
import java.util.List;

/**
 * The buffers of one positioned transfer as an array of {@code struct iovec}, which Linux and macOS lay out alike.
 * Remembers how much of them was transferred, so that a short transfer resumes within a buffer.
 *
 * <p>The kernel sees addresses only: the caller keeps the buffers open until the transfer is done.
 */
public final class IoVectors {
    /** The most that one call takes on either system. */
    private static final int MOST_VECTORS = 1024;
    /** macOS refuses transfers of 2 GiB and more. */
    private static final long MOST_BYTES = 1L << 30;
    private static final long BYTES = 16;
    private static final long LENGTH = 8;

    private final List<MemorySegment> buffers;
    private final MemorySegment array;
    private int index;
    private long within;

    private IoVectors(Arena arena, List<MemorySegment> buffers) {
        this.buffers = buffers;
        array = arena.allocate(Math.max(1, Math.min(buffers.size(), MOST_VECTORS)) * BYTES, Long.BYTES);
    }

    /** Makes an array that starts at the first byte of these native segments; it lives as long as the arena. */
    public static IoVectors of(Arena arena, List<MemorySegment> buffers) {
        for (MemorySegment buffer : buffers) {
            if (!buffer.isNative()) {
                throw new IllegalArgumentException("a buffer is on the heap; system calls need native memory");
            }
        }
        return new IoVectors(arena, buffers);
    }

    /** Returns the array for the next call: as much of the rest as one call takes, and no more than the limit. */
    public MemorySegment next(long mostBytes) {
        long left = Math.min(mostBytes, MOST_BYTES);
        int count = 0;
        long from = within;
        for (int at = index; at < buffers.size() && count < MOST_VECTORS && left > 0; at++) {
            MemorySegment buffer = buffers.get(at);
            long length = Math.min(left, buffer.byteSize() - from);
            if (length > 0) {
                array.set(ValueLayout.JAVA_LONG, count * BYTES, buffer.address() + from);
                array.set(ValueLayout.JAVA_LONG, count * BYTES + LENGTH, length);
                left -= length;
                count++;
            }
            from = 0;
        }
        return array.asSlice(0, count * BYTES);
    }

    /** Moves on by the number of transferred bytes. */
    public void advance(long transferredBytes) {
        long left = transferredBytes;
        while (left > 0) {
            long rest = buffers.get(index).byteSize() - within;
            if (left < rest) {
                within += left;
                return;
            }
            left -= rest;
            index++;
            within = 0;
        }
    }

    /** Returns how many buffers an array names. */
    static int count(MemorySegment vectors) {
        return Math.toIntExact(vectors.byteSize() / BYTES);
    }
}
