package io.microsnap.core.internal.file;

import io.microsnap.core.SnapshotException;
import java.io.IOException;
import java.lang.foreign.Arena;
import java.lang.foreign.MemorySegment;
import java.util.List;
import java.util.Queue;
import java.util.concurrent.ConcurrentLinkedQueue;

/**
 * Serves requests that direct I/O does not take as they are, through aligned buffers of our own. Blocks of which a
 * write has a part are read first and written back whole. The caller keeps other writers out of the blocks of a write.
 *
 * <p>The block that a file ends in is written through the page cache instead: as a whole it would lengthen the file.
 */
final class Bounce implements AutoCloseable {
    private static final long BUFFER_BYTES = 1L << 20;
    private static final long LARGEST_PAGE_BYTES = 64 << 10;

    private final Lane direct;
    private final Lane cached;
    private final long blockBytes;
    private final Arena arena = Arena.ofShared();
    private final Queue<MemorySegment> idle = new ConcurrentLinkedQueue<>();

    Bounce(Lane direct, Lane cached) {
        this.direct = direct;
        this.cached = cached;
        blockBytes = direct.blockBytes();
    }

    /** Reads until the buffers are full or the file ends, and returns how much that was. */
    long read(List<MemorySegment> buffers, long offset, long lengthBytes) throws IOException {
        MemorySegment own = take();
        try {
            long end = offset + lengthBytes;
            long at = offset;
            while (at < end) {
                long from = floor(at);
                long wanted = Math.min(own.byteSize(), ceil(end) - from);
                long read = direct.read(List.of(own.asSlice(0, wanted)), from);
                long stop = Math.min(from + read, end);
                if (stop > at) {
                    scatter(own, at - from, buffers, at - offset, stop - at);
                    at = stop;
                }
                if (read < wanted) {
                    break;
                }
            }
            return at - offset;
        } finally {
            idle.add(own);
        }
    }

    /** Writes all of the buffers to a file that has this size. */
    void write(List<MemorySegment> buffers, long offset, long lengthBytes, long sizeBytes) throws IOException {
        MemorySegment own = take();
        try {
            long end = offset + lengthBytes;
            for (long at = offset; at < end;) {
                long from = floor(at);
                long stop = Math.min(from + own.byteSize(), end);
                // A block that reaches past the end of the file must not lengthen it beyond the bytes written.
                long directEnd = ceil(stop) <= sizeBytes ? ceil(stop) : floor(stop);
                if (directEnd > from) {
                    if (at > from) {
                        load(own, from, from, sizeBytes);
                    }
                    long tail = floor(stop);
                    if (directEnd > stop && (tail > from || at == from)) {
                        load(own, tail, from, sizeBytes);
                    }
                    gather(buffers, at - offset, own, at - from, Math.min(stop, directEnd) - at);
                    direct.write(List.of(own.asSlice(0, directEnd - from)), from);
                }
                long rest = Math.max(at, directEnd);
                if (rest < stop) {
                    gather(buffers, rest - offset, own, 0, stop - rest);
                    cached.write(List.of(own.asSlice(0, stop - rest)), rest);
                }
                at = stop;
            }
        } finally {
            idle.add(own);
        }
    }

    /** Reads one block into its place, and fills what lies past the file's end with zeros. */
    private void load(MemorySegment own, long block, long from, long sizeBytes) throws IOException {
        MemorySegment place = own.asSlice(block - from, blockBytes);
        long read = direct.read(List.of(place), block);
        if (read < blockBytes && block + read < sizeBytes) {
            throw new SnapshotException(direct.file() + " had " + sizeBytes + " bytes and ends at " + (block + read)
                    + " now: another process shortened it while it was in use");
        }
        place.asSlice(read).fill((byte) 0);
    }

    /** Returns a buffer for one request; the owner gives it back. */
    private MemorySegment take() {
        MemorySegment buffer = idle.poll();
        return buffer != null ? buffer
                : arena.allocate(Math.max(BUFFER_BYTES, blockBytes), Math.max(blockBytes, LARGEST_PAGE_BYTES));
    }

    private static void scatter(MemorySegment from, long at, List<MemorySegment> buffers, long position, long length) {
        copy(buffers, position, length, (buffer, within, done, bytes) ->
                MemorySegment.copy(from, at + done, buffer, within, bytes));
    }

    private static void gather(List<MemorySegment> buffers, long position, MemorySegment to, long at, long length) {
        copy(buffers, position, length, (buffer, within, done, bytes) ->
                MemorySegment.copy(buffer, within, to, at + done, bytes));
    }

    /** Zeroes the buffers from a position on. */
    static void zeroFrom(List<MemorySegment> buffers, long position, long length) {
        copy(buffers, position, length, (buffer, within, done, bytes) -> buffer.asSlice(within, bytes).fill((byte) 0));
    }

    private interface Part {
        void accept(MemorySegment buffer, long within, long done, long bytes);
    }

    private static void copy(List<MemorySegment> buffers, long position, long length, Part part) {
        long start = 0;
        long done = 0;
        for (MemorySegment buffer : buffers) {
            long within = position + done - start;
            long bytes = Math.min(buffer.byteSize() - within, length - done);
            if (bytes > 0) {
                part.accept(buffer, within, done, bytes);
                done += bytes;
            }
            start += buffer.byteSize();
        }
    }

    private long floor(long offset) {
        return offset & -blockBytes;
    }

    private long ceil(long offset) {
        return floor(offset + blockBytes - 1);
    }

    @Override
    public void close() {
        arena.close();
    }
}
