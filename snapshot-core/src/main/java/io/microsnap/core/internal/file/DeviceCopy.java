package io.microsnap.core.internal.file;

import io.microsnap.core.IfExists;
import io.microsnap.core.Progress;
import io.microsnap.core.SnapshotException;
import io.microsnap.core.internal.posix.Posix;
import java.io.IOException;
import java.lang.foreign.Arena;
import java.lang.foreign.MemorySegment;
import java.nio.file.FileAlreadyExistsException;
import java.nio.file.Path;
import java.time.Duration;
import java.util.OptionalInt;

/**
 * Copies from and to block devices, which no other program may use meanwhile. Onto a device every byte of the source is
 * written, zeros where it has holes; what the device has behind it stays. A copy that fails leaves a part of it there.
 */
final class DeviceCopy {
    private static final long BUFFER_BYTES = 4L << 20;
    /** A device's mode is meant for administrators and says nothing about a copy of its content. */
    private static final int MODE = StagedFile.PRIVATE;

    private DeviceCopy() {
    }

    /** Returns whether either path leads to a block device. */
    static boolean isWanted(Posix posix, Path source, Path destination) {
        return StorageFile.isDevice(posix, source) || StorageFile.isDevice(posix, destination);
    }

    static CopyResult copy(Posix posix, Path source, Path destination, CopyOptions options) throws IOException {
        if (options.strategy() == CopyStrategy.REFLINK) {
            throw new SnapshotException("a device cannot share blocks: " + source + " cannot be cloned to "
                    + destination + "; copy it instead");
        }
        long start = System.nanoTime();
        boolean onto = StorageFile.isDevice(posix, destination);
        if (onto && options.ifExists() == IfExists.REFUSE) {
            throw new FileAlreadyExistsException(destination.toString(), null,
                    "a block device always holds something; say that it may be replaced");
        }
        try (StorageFile from = StorageFile.open(posix, source, StorageOptions.READ)) {
            long moved = onto ? ontoDevice(posix, from, destination, options.progress())
                    : intoFile(posix, from, destination, options);
            return new CopyResult(onto ? CopyMethod.READ_AND_WRITTEN : CopyMethod.ZEROS_LEFT_OUT, from.sizeBytes(),
                    moved, Duration.ofNanos(System.nanoTime() - start));
        }
    }

    private static long intoFile(Posix posix, StorageFile from, Path destination, CopyOptions options)
            throws IOException {
        try (StagedFile staged = StagedFile.create(posix, destination);
                DataCopy copy = new DataCopy(from.descriptor(), staged.descriptor(), false, options.progress())) {
            copy.run(from.descriptor().status());
            OptionalInt mode = options.mode();
            staged.descriptor().permissions(mode.orElse(MODE));
            staged.commit(options.durability(), options.ifExists());
            return copy.movedBytes();
        }
    }

    private static long ontoDevice(Posix posix, StorageFile from, Path destination, Progress progress)
            throws IOException {
        try (StorageFile to = StorageFile.open(posix, destination, StorageOptions.WRITE);
                Arena arena = Arena.ofConfined()) {
            long total = from.sizeBytes();
            if (to.sizeBytes() < total) {
                throw new SnapshotException(destination + " has " + to.sizeBytes() + " bytes, and " + from + " has "
                        + total + "; nothing was written: use a larger device");
            }
            MemorySegment buffer = arena.allocate(BUFFER_BYTES, Alignments.USUAL_BYTES);
            long[] reached = {0};
            long[] moved = {0};
            Extents.data(from.descriptor(), 0, total, (offset, lengthBytes) -> {
                to.writeZeroes(reached[0], offset - reached[0]);
                for (long done = 0; done < lengthBytes;) {
                    MemorySegment piece = buffer.asSlice(0, Math.min(BUFFER_BYTES, lengthBytes - done));
                    from.read(piece, offset + done);
                    to.write(piece, offset + done);
                    done += piece.byteSize();
                    moved[0] += piece.byteSize();
                    progress.advanced(offset + done, total);
                }
                reached[0] = offset + lengthBytes;
            });
            to.writeZeroes(reached[0], total - reached[0]);
            to.sync();
            progress.advanced(total, total);
            return moved[0];
        }
    }
}
