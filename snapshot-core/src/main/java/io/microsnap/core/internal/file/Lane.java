package io.microsnap.core.internal.file;

import io.microsnap.core.SnapshotException;
import io.microsnap.core.internal.posix.Descriptor;
import io.microsnap.core.internal.posix.Errno;
import io.microsnap.core.internal.posix.IoVectors;
import io.microsnap.core.internal.posix.Posix;
import io.microsnap.core.internal.posix.SystemCallException;
import java.io.IOException;
import java.lang.foreign.Arena;
import java.lang.foreign.MemorySegment;
import java.lang.ref.Reference;
import java.util.List;

/**
 * One way to transfer a file's bytes. It repeats interrupted transfers and finishes short ones. A short direct transfer
 * continues at the last whole block, because direct I/O accepts no other offset.
 *
 * @param file an open descriptor
 * @param flags those of {@code preadv2} and {@code pwritev2}
 * @param blockBytes the alignment of its requests; 1 for any
 */
record Lane(Descriptor file, int flags, int blockBytes) {
    /** Reads until the buffers are full or the file ends, and returns how much that was. */
    long read(List<MemorySegment> buffers, long offset) throws IOException {
        if (flags == 0 && blockBytes == 1 && buffers.size() == 1) {
            return file.read(buffers.getFirst(), offset);
        }
        return transfer(buffers, offset, false);
    }

    /** Writes all of the buffers. */
    void write(List<MemorySegment> buffers, long offset) throws IOException {
        if (flags == 0 && blockBytes == 1 && buffers.size() == 1) {
            file.writeFully(buffers.getFirst(), offset);
        } else {
            transfer(buffers, offset, true);
        }
    }

    private long transfer(List<MemorySegment> buffers, long offset, boolean write) throws IOException {
        Posix posix = file.posix();
        long total = lengthBytes(buffers);
        long done = 0;
        boolean stalled = false;
        try (Arena arena = Arena.ofConfined()) {
            IoVectors vectors = IoVectors.of(arena, buffers);
            while (done < total) {
                MemorySegment next = vectors.next(total - done);
                long at = offset + done;
                long result = write ? posix.pwritev2(file.number(), next, at, flags)
                        : posix.preadv2(file.number(), next, at, flags);
                if (posix.constants().failedWith(result, Errno.EINTR)) {
                    continue;
                }
                if (result < 0) {
                    throw SystemCallException.of(posix, result, write ? "pwritev2" : "preadv2", file.name(),
                            "of " + (total - done) + " bytes at " + at + remedy(posix.constants().errno(result)));
                }
                if (result == 0 && !write) {
                    break;
                }
                long whole = result == total - done ? result : result - result % blockBytes;
                if (whole < result && !write && at + result >= StorageFile.sizeOf(file)) {
                    return done + result;
                }
                if (whole == 0 && stalled) {
                    throw new SnapshotException(file.name() + ": " + (write ? "pwritev2" : "preadv2") + " of "
                            + (total - done) + " bytes at " + at + " made no progress");
                }
                stalled = whole == 0;
                vectors.advance(whole);
                done += whole;
            }
        } finally {
            Reference.reachabilityFence(buffers);
        }
        return done;
    }

    private String remedy(Errno errno) {
        return errno == Errno.EINVAL && blockBytes > 1
                ? " (direct I/O in blocks of " + blockBytes + ": use cached I/O if the device needs larger ones)" : "";
    }

    static long lengthBytes(List<MemorySegment> buffers) {
        long total = 0;
        for (MemorySegment buffer : buffers) {
            total = Math.addExact(total, buffer.byteSize());
        }
        return total;
    }
}
