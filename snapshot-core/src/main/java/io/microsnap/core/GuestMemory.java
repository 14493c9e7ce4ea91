package io.microsnap.core;

import java.io.IOException;
import java.lang.foreign.MemorySegment;
import java.util.OptionalInt;

/**
 * A guest's memory in this process: its layout and the host mappings behind it. Restore returns one and a hypervisor
 * registers it. Closing it ends the mappings; a segment used after that throws, it does not crash.
 */
public interface GuestMemory extends AutoCloseable {
    GuestLayout layout();

    /** The host mapping behind a region: exactly as long as the region, readable and writable by any thread. */
    MemorySegment mapping(int region);

    /** The descriptor of the memfd that holds the image, where the memory is shared through one. It stays ours. */
    OptionalInt memfd();

    /**
     * Whether somebody may shorten what lies behind the mappings (a file). Such memory must not be handed to
     * {@code memcmp} or a checksum of the JDK: a truncation would kill the process.
     */
    boolean mayBeTruncated();

    /**
     * Names the ranges of a region that may hold anything but zeros, as offsets into its mapping, clipped to the range
     * asked. What is not named was never populated: it is zero, and reading it would allocate it. By default
     * everything is named.
     */
    default void populated(int region, long offset, long lengthBytes, RangeConsumer ranges) throws IOException {
        ranges.accept(offset, lengthBytes);
    }

    @Override
    void close() throws IOException;
}
