package io.microsnap.memory.internal.image;

import io.microsnap.core.internal.file.Truncation;
import io.microsnap.core.internal.posix.Descriptor;
import io.microsnap.core.internal.posix.Errno;
import io.microsnap.core.internal.posix.SystemCallException;
import java.io.IOException;
import java.lang.foreign.MemorySegment;

/**
 * Takes the pages of an image from one worker. The worker calls it before each chunk and after the chunk's last byte,
 * and at the end either once nothing is left or once a worker failed.
 */
interface Sink {
    /** Takes a range of guest memory, which stays unchanged until everything is written. */
    void guest(MemorySegment memory, long at, long offset, long lengthBytes) throws IOException;

    /** Takes a range that was copied, or that is zeros. It is written at once, because its memory is reused. */
    void copy(MemorySegment memory, long at, long offset, long lengthBytes) throws IOException;

    /** Returns how many bytes its worker takes at once. */
    default long chunkBytes() {
        return ChunkedWork.CHUNK_BYTES;
    }

    /** Called before the worker takes a chunk, if one is left. */
    default void beginChunk() throws IOException {
    }

    /** Called after the worker has finished a chunk. */
    default void endChunk() throws IOException {
    }

    /** Called when no chunk is left. */
    default void finish() throws IOException {
    }

    /** Called when this worker or another one has failed; nothing follows. */
    default void abandon(Throwable failure) {
    }

    /** Writes ranges of an image, each whole. */
    @FunctionalInterface
    interface Target {
        void write(MemorySegment range, long offset) throws IOException;
    }

    /** Writes everything at once, at its place in the image. */
    record Image(Target target) implements Sink {
        /** Through the page cache. */
        Image(Descriptor file) {
            this(file::writeFully);
        }

        @Override
        public void guest(MemorySegment memory, long at, long offset, long lengthBytes) throws IOException {
            try {
                target.write(memory.asSlice(at, lengthBytes), offset);
            } catch (SystemCallException failure) {
                // The kernel met unmapped memory: private buffers are always mapped, but a view's memory may be gone.
                throw failure.errno() == Errno.EFAULT
                        ? Truncation.found(lengthBytes, "guest memory", offset, failure) : failure;
            }
        }

        @Override
        public void copy(MemorySegment memory, long at, long offset, long lengthBytes) throws IOException {
            guest(memory, at, offset, lengthBytes);
        }
    }
}
