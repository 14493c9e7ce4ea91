package io.microsnap.core;

import io.microsnap.core.internal.file.GuestMemoryReader;
import io.microsnap.core.internal.file.GuestRam;
import io.microsnap.core.internal.posix.Posix;
import java.io.IOException;
import java.lang.foreign.MemorySegment;
import java.util.OptionalInt;

/**
 * A guest's memory in this process: its layout and the host mappings behind it. Restore returns one and a hypervisor
 * registers it. Closing it makes its segments unusable: a segment used after that throws, it does not crash. The
 * mappings end with it, or with the last {@link #hold} on them.
 */
public interface GuestMemory extends AutoCloseable {
    /** Returns new memory of zeros, of this process alone. */
    static GuestMemory anonymous(GuestLayout layout, HugePages hugePages) throws IOException {
        return GuestRam.anonymous(Posix.host(), layout, hugePages);
    }

    /** Returns new memory of zeros behind a memfd, which other processes may map. */
    static GuestMemory memfd(GuestLayout layout, HugePages hugePages) throws IOException {
        return GuestRam.memfd(Posix.host(), layout, hugePages);
    }

    /** Returns the regions, which do not change. */
    GuestLayout layout();

    /** Returns a reader of this memory, for captures. Closing the memory makes it unusable. */
    default PageReader reader() {
        return new GuestMemoryReader(this);
    }

    /** Returns the host mapping behind a region: exactly as long as the region, readable and writable by any thread. */
    MemorySegment mapping(int region);

    /**
     * Returns the descriptor of the memfd that holds the image, where the memory is shared through one. The guest
     * memory keeps it and closes it.
     */
    OptionalInt memfd();

    /**
     * Returns whether another process may shorten the file behind the mappings. Do not pass such memory to {@code
     * memcmp} or a checksum of the JDK: a truncation would kill the process.
     */
    boolean mayBeTruncated();

    /**
     * Names the ranges of the image that may hold anything but zeros, clipped to the given range. The other ranges were
     * never populated: they are zero, and reading them would allocate them. The default names everything.
     */
    default void populated(long imageOffset, long lengthBytes, RangeConsumer ranges) throws IOException {
        ranges.accept(imageOffset, lengthBytes);
    }

    /**
     * Throws unless all of the memory is mapped, so that reading it cannot kill the process. A capture asks when it is
     * prepared, and again before it reads.
     */
    void requireMapped() throws IOException;

    /**
     * Keeps the memory mapped until the returned hold is closed, even when the memory is closed first. A caller that
     * uses the mappings by their addresses takes a hold first, such as a VMM that registers them with a VM: an unmapped
     * address may belong to another guest's memory a moment later. The VMM closes the hold when the VM cannot use the
     * addresses any more.
     */
    Hold hold();

    /** Memory that is kept mapped. */
    interface Hold extends AutoCloseable {
        /** Holds nothing: for memory that its owner keeps mapped. */
        Hold NOTHING = () -> { };

        /**
         * Releases the memory. If the memory is closed and this was its last hold, it is unmapped. A second call does
         * nothing.
         */
        @Override
        void close() throws IOException;
    }

    @Override
    void close() throws IOException;
}
