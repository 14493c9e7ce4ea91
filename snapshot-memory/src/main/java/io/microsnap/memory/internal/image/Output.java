package io.microsnap.memory.internal.image;

import io.microsnap.core.internal.file.Truncation;
import io.microsnap.core.internal.posix.Descriptor;
import io.microsnap.core.internal.posix.Errno;
import io.microsnap.core.internal.posix.SystemCallException;
import java.io.IOException;
import java.lang.foreign.MemorySegment;

/** Takes from a pass what is to become part of an image. */
interface Output {
    /** A range of guest memory, which stays as it is until all is written. */
    void guest(MemorySegment memory, long at, long offset, long lengthBytes) throws IOException;

    /** A range that was copied, or is zeros: memory that the pass is going to use again. */
    default void copy(MemorySegment memory, long at, long offset, long lengthBytes) throws IOException {
        guest(memory, at, offset, lengthBytes);
    }

    /** Written at once, at its place. */
    record Image(Descriptor file) implements Output {
        @Override
        public void guest(MemorySegment memory, long at, long offset, long lengthBytes) throws IOException {
            write(file, offset, memory, at, offset, lengthBytes);
        }
    }

    /**
     * Writes memory to a file.
     *
     * @param at where in the memory it is
     * @param offset where in the image it belongs
     */
    static void write(Descriptor file, long position, MemorySegment memory, long at, long offset, long lengthBytes)
            throws IOException {
        try {
            file.writeFully(memory.asSlice(at, lengthBytes), position);
        } catch (SystemCallException failure) {
            // The kernel came upon memory that is not there: all of ours is, and a view's may have gone.
            throw failure.errno() == Errno.EFAULT ? Truncation.found(lengthBytes, "guest memory", offset, failure)
                    : failure;
        }
    }
}
