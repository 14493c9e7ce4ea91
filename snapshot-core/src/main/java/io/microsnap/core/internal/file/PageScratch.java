package io.microsnap.core.internal.file;

import java.lang.foreign.Arena;
import java.lang.foreign.MemorySegment;

/**
 * A buffer of our own. Bytes of a file, or of memory that somebody may truncate, are put here before they are
 * checksummed or compared: what lies here nobody takes away. It is freed when it is closed; used after that, it throws.
 * Use it from one thread at a time.
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

    /** The whole buffer. */
    public MemorySegment buffer() {
        return buffer;
    }

    /** How much fits. */
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
