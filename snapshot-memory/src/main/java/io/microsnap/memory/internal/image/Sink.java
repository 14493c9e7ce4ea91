package io.microsnap.memory.internal.image;

import io.microsnap.core.internal.file.Truncation;
import io.microsnap.core.internal.posix.Descriptor;
import io.microsnap.core.internal.posix.Errno;
import io.microsnap.core.internal.posix.SystemCallException;
import java.io.IOException;
import java.lang.foreign.MemorySegment;

/**
 * Takes from one worker the pages of an image. A sink hears of each chunk before the worker takes it and
 * after the last of its bytes. In the end it hears either that nothing is left, or that somebody failed.
 */
interface Sink {
    /** Takes a range of guest memory, which stays as it is until everything is written. */
    void guest(MemorySegment memory, long at, long offset, long lengthBytes) throws IOException;

    /** Takes a range that was copied, or that is zeros. It is written at once, for its memory is used again. */
    void copy(MemorySegment memory, long at, long offset, long lengthBytes) throws IOException;

    /** Returns how much its worker takes at once. */
    default long chunkBytes() {
        return ChunkedWork.CHUNK_BYTES;
    }

    /** Hears that its worker is about to take a chunk, if one is left. */
    default void beginChunk() throws IOException {
    }

    /** Hears that its worker is done with a chunk. */
    default void endChunk() throws IOException {
    }

    /** Hears that no chunk was left. */
    default void finish() throws IOException {
    }

    /** Hears that this worker or another one failed, and that nothing more will come. */
    default void abandon(Throwable failure) {
    }

    /** Where ranges of an image are written, each whole. */
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
                // The kernel came upon memory that is not there: all of ours is, and a view's may have gone.
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
