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
     * Returns a direct view of guest memory: a native segment that starts at the image offset and reaches as far as
     * memory is contiguous, at most {@code lengthBytes}. Returns {@link MemorySegment#NULL} if the source has no direct
     * views; this is then so for every offset.
     */
    default MemorySegment view(long imageOffset, long lengthBytes) {
        return MemorySegment.NULL;
    }

    /** Fills the whole destination from the image offset on, or throws. */
    void read(long imageOffset, MemorySegment destination) throws IOException;

    /**
     * Names the ranges that may hold anything but zeros, clipped to the given range. The other ranges were never
     * populated: they are zero, and reading them would allocate them. The default names everything.
     */
    default void populated(long imageOffset, long lengthBytes, RangeConsumer ranges) throws IOException {
        ranges.accept(imageOffset, lengthBytes);
    }

    /** Throws if a view must not be read because the memory behind it is no longer mapped. */
    default void requireMapped() throws IOException {
    }

    /** Returns whether another process may shorten the memory behind {@link #view}: see {@link GuestMemory}. */
    default boolean mayBeTruncated() {
        return true;
    }
}
