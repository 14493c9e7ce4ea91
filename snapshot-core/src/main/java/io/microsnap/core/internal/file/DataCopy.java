package io.microsnap.core.internal.file;

import io.microsnap.core.Progress;
import io.microsnap.core.SnapshotException;
import io.microsnap.core.internal.posix.Constants;
import io.microsnap.core.internal.posix.Descriptor;
import io.microsnap.core.internal.posix.Errno;
import io.microsnap.core.internal.posix.Posix;
import io.microsnap.core.internal.posix.Stat;
import io.microsnap.core.internal.posix.SystemCallException;
import java.io.IOException;
import java.lang.foreign.Arena;
import java.lang.foreign.MemorySegment;
import java.util.EnumSet;
import java.util.Set;

/** Copies a file's data into an empty file, and leaves holes where the source has them. */
final class DataCopy implements AutoCloseable {
    /** Short enough that cancelling is quick, long enough to cost no throughput. */
    private static final long MOST_IN_KERNEL = 64L << 20;
    private static final long BUFFER_BYTES = 1L << 20;
    /** The smallest hole worth leaving: no filesystem here has smaller blocks. */
    private static final long BLOCK_BYTES = 4096;
    /** The errors of kernels, filesystems and sandboxes that lack the call or refuse it for these files. */
    private static final Set<Errno> NOT_IN_KERNEL = EnumSet.of(Errno.ENOSYS, Errno.EXDEV, Errno.EINVAL,
            Errno.EOPNOTSUPP, Errno.ENOTSUP, Errno.EPERM, Errno.ETXTBSY);

    private final Descriptor source;
    private final Descriptor destination;
    private final Progress progress;
    private final Arena arena = Arena.ofConfined();
    private MemorySegment buffer = MemorySegment.NULL;
    private boolean inKernel;
    private boolean zerosLeftOut;
    private long totalBytes;
    private long movedBytes;

    DataCopy(Descriptor source, Descriptor destination, boolean mayShare, Progress progress) {
        this.source = source;
        this.destination = destination;
        this.progress = progress;
        inKernel = mayShare;
    }

    /** Copies as many bytes as the source had at the time of this status. */
    void run(Stat status) throws IOException {
        totalBytes = status.isBlockDevice() ? BlockDevices.sizeBytes(source) : status.sizeBytes();
        destination.truncate(totalBytes);
        boolean hasHoles = status.allocatedBytes() < totalBytes;
        if (status.isBlockDevice()) {
            // Devices have no holes, and the kernel copies only between files.
            copyAllButZeros(0, totalBytes);
            return;
        }
        Extents.walk(source, 0, totalBytes, (offset, lengthBytes) -> {
            if (hasHoles && lengthBytes == totalBytes) {
                // The filesystem reports everything as data, yet has not allocated all of it.
                copyAllButZeros(offset, lengthBytes);
            } else {
                copyData(offset, lengthBytes);
            }
        }, this::copyAllButZeros);
        long left = source.sizeBytes();
        if (left < totalBytes) {
            throw new SnapshotException(source.name() + " shrank from " + totalBytes + " to " + left
                    + " bytes while it was copied; copy it when nothing writes it");
        }
    }

    CopyMethod method() {
        if (zerosLeftOut) {
            return CopyMethod.ZEROS_LEFT_OUT;
        }
        return inKernel ? CopyMethod.IN_KERNEL : CopyMethod.READ_AND_WRITTEN;
    }

    long movedBytes() {
        return movedBytes;
    }

    @Override
    public void close() {
        arena.close();
    }

    private void copyData(long offset, long lengthBytes) throws IOException {
        long end = offset + lengthBytes;
        long at = offset;
        while (at < end) {
            at += inKernel ? copyInKernel(at, end - at) : readAndWrite(at, end - at);
            progress.advanced(at, totalBytes);
        }
    }

    /** Returns how much was copied; zero if the system cannot copy or finds nothing, in which case the caller reads. */
    private long copyInKernel(long at, long lengthBytes) throws IOException {
        Posix posix = destination.posix();
        Constants constants = posix.constants();
        long wanted = Math.min(lengthBytes, MOST_IN_KERNEL);
        long result = posix.copy_file_range(source.number(), at, destination.number(), at, wanted);
        if (result > 0) {
            movedBytes += result;
            return result;
        }
        if (constants.failedWith(result, Errno.EINTR)) {
            return 0;
        }
        if (result < 0 && !NOT_IN_KERNEL.contains(constants.errno(result))) {
            throw SystemCallException.of(posix, result, "copy_file_range", destination.name(),
                    "of " + wanted + " bytes at " + at + " from " + source.name());
        }
        inKernel = false;
        return 0;
    }

    private long readAndWrite(long at, long lengthBytes) throws IOException {
        MemorySegment part = read(at, lengthBytes);
        destination.writeFully(part, at);
        movedBytes += part.byteSize();
        return part.byteSize();
    }

    private void copyAllButZeros(long offset, long lengthBytes) throws IOException {
        zerosLeftOut = true;
        long end = offset + lengthBytes;
        for (long at = offset; at < end;) {
            MemorySegment part = read(at, end - at);
            writeAllButZeros(part, at);
            at += part.byteSize();
            progress.advanced(at, totalBytes);
        }
    }

    private void writeAllButZeros(MemorySegment part, long at) throws IOException {
        long length = part.byteSize();
        long runStart = -1;
        for (long block = 0; block < length; block += BLOCK_BYTES) {
            boolean zero = Pages.isZero(part, block, Math.min(BLOCK_BYTES, length - block));
            if (zero && runStart >= 0) {
                writeRun(part, runStart, block, at);
                runStart = -1;
            } else if (!zero && runStart < 0) {
                runStart = block;
            }
        }
        if (runStart >= 0) {
            writeRun(part, runStart, length, at);
        }
    }

    private void writeRun(MemorySegment part, long from, long to, long at) throws IOException {
        destination.writeFully(part.asSlice(from, to - from), at + from);
        movedBytes += to - from;
    }

    private MemorySegment read(long at, long lengthBytes) throws IOException {
        if (buffer.equals(MemorySegment.NULL)) {
            buffer = arena.allocate(BUFFER_BYTES, BLOCK_BYTES);
        }
        MemorySegment part = buffer.asSlice(0, Math.min(lengthBytes, BUFFER_BYTES));
        source.readFully(part, at);
        return part;
    }
}
