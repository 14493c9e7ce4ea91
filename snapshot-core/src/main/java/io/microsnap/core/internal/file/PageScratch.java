package io.microsnap.core.internal.file;

import java.lang.foreign.Arena;
import java.lang.foreign.MemorySegment;

/**
 * A private buffer. Callers copy bytes of a file, or of memory that another process may truncate, into it before they
 * checksum or compare them, because nothing can truncate this buffer. Closing frees it; use after that throws. Use it
 * from one thread at a time.
 */
public final class PageScratch implements AutoCloseable {
    /** Large enough to be filled at memory speed, small enough to stay in the processor's cache. */
    public static final int DEFAULT_BYTES = 256 << 10;
    private static final long ALIGNMENT = 4096;

    private final Arena arena = Arena.ofShared();
    private final MemorySegment buffer;

    public PageScratch() {
        this(DEFAULT_BYTES);
    }

    public PageScratch(long capacityBytes) {
        buffer = arena.allocate(capacityBytes, ALIGNMENT);
    }

    /** Returns the whole buffer. */
    public MemorySegment buffer() {
        return buffer;
    }

    /** Returns the capacity. */
    public long capacityBytes() {
        return buffer.byteSize();
    }

    /** Frees the buffer. A second call does nothing. */
    @Override
    public void close() {
        if (arena.scope().isAlive()) {
            arena.close();
        }
    }
}
