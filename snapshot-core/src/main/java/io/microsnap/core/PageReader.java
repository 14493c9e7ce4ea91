package io.microsnap.core;

import java.io.IOException;
import java.lang.foreign.MemorySegment;

/**
 * Gives the bytes of guest memory by image offset. During a capture nothing writes the memory behind it; calls may
 * come from several threads at once.
 */
public interface PageReader {
    /** Returns the layout of the image, which does not change. */
    GuestLayout layout();

    /**
     * A direct view of guest memory: a native segment that starts at the image offset and reaches as far as memory
     * is contiguous, at most the length asked. {@link MemorySegment#NULL} where the source cannot give one; the
     * answer is the same for every offset.
     */
    default MemorySegment view(long imageOffset, long lengthBytes) {
        return MemorySegment.NULL;
    }

    /** Fills the destination from the image offset on, wholly, or throws. */
    void read(long imageOffset, MemorySegment destination) throws IOException;

    /**
     * Names the ranges that may hold anything but zeros, clipped to the range asked. What is not named was never
     * populated: it is zero, and reading it would allocate it. By default everything is named.
     */
    default void populated(long imageOffset, long lengthBytes, RangeConsumer ranges) throws IOException {
        ranges.accept(imageOffset, lengthBytes);
    }

    /** Throws where a view must not be read, because the memory behind it is no longer mapped. */
    default void requireMapped() throws IOException {
    }

    /** Whether the memory behind {@link #view} may be shortened by somebody: see {@link GuestMemory}. */
    default boolean mayBeTruncated() {
        return true;
    }
}
