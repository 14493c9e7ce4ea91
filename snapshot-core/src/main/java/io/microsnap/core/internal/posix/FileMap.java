package io.microsnap.core.internal.posix;

import java.lang.foreign.Arena;
import java.lang.foreign.MemorySegment;
import java.lang.foreign.ValueLayout;

/**
 * Linux's {@code FS_IOC_FIEMAP}: lists a file's extents, one buffer at a time. {@link #fetch} fills the buffer, the
 * other methods read it.
 */
public final class FileMap implements AutoCloseable {
    private static final long START = 0;
    private static final long LENGTH = 8;
    private static final long FLAGS = 16;
    private static final long MAPPED = 20;
    private static final long CAPACITY = 24;
    private static final long HEADER_BYTES = 32;

    private static final long EXTENT_BYTES = 56;
    private static final long EXTENT_LOGICAL = 0;
    private static final long EXTENT_PHYSICAL = 8;
    private static final long EXTENT_LENGTH = 16;
    private static final long EXTENT_FLAGS = 40;

    private static final int FLAG_SYNC = 1;
    private static final int LAST = 1;
    private static final int SHARED = 0x2000;
    // Unknown, delayed, encoded, encrypted, not aligned, inline, tail, unwritten.
    private static final int NO_BLOCKS_OF_ITS_OWN = 0x2 | 0x4 | 0x8 | 0x80 | 0x100 | 0x200 | 0x400 | 0x800;

    private final Arena arena = Arena.ofConfined();
    private final int capacity;
    private final MemorySegment buffer;

    /** Makes a buffer for this many extents. */
    public FileMap(int capacity) {
        this.capacity = capacity;
        buffer = arena.allocate(HEADER_BYTES + capacity * EXTENT_BYTES, Long.BYTES);
    }

    /**
     * Reads the extents from an offset on, as many as fit. The filesystem first allocates blocks for content that is
     * still only in memory. Returns the number of extents, zero past the last, or {@code -errno}.
     */
    public int fetch(Posix posix, int descriptor, long offset) {
        long request = posix.constants().FS_IOC_FIEMAP;
        if (request == 0) {
            return -Errno.ENOSYS.number(posix.constants());
        }
        buffer.set(ValueLayout.JAVA_LONG, START, offset);
        buffer.set(ValueLayout.JAVA_LONG, LENGTH, Long.MAX_VALUE - offset);
        buffer.set(ValueLayout.JAVA_INT, FLAGS, FLAG_SYNC);
        buffer.set(ValueLayout.JAVA_INT, MAPPED, 0);
        buffer.set(ValueLayout.JAVA_INT, CAPACITY, capacity);
        int result = posix.ioctl(descriptor, request, buffer);
        return result < 0 ? result : buffer.get(ValueLayout.JAVA_INT, MAPPED);
    }

    /** Returns where in the file an extent starts. */
    public long offset(int index) {
        return buffer.get(ValueLayout.JAVA_LONG, extent(index) + EXTENT_LOGICAL);
    }

    public long lengthBytes(int index) {
        return buffer.get(ValueLayout.JAVA_LONG, extent(index) + EXTENT_LENGTH);
    }

    /**
     * Returns an extent's position on its filesystem: two files with the same position share that content. Negative if
     * the bytes are not stored there as they are: compressed, inline, not yet written.
     */
    public long place(int index) {
        return (flags(index) & NO_BLOCKS_OF_ITS_OWN) != 0
                ? -1 : buffer.get(ValueLayout.JAVA_LONG, extent(index) + EXTENT_PHYSICAL);
    }

    /** Returns whether other files, or other places in this one, use the same blocks. */
    public boolean isShared(int index) {
        return (flags(index) & SHARED) != 0;
    }

    /** Returns whether this is the file's last extent. */
    public boolean isLast(int index) {
        return (flags(index) & LAST) != 0;
    }

    @Override
    public void close() {
        arena.close();
    }

    private int flags(int index) {
        return buffer.get(ValueLayout.JAVA_INT, extent(index) + EXTENT_FLAGS);
    }

    private long extent(int index) {
        return HEADER_BYTES + index * EXTENT_BYTES;
    }
}
