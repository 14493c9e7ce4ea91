package io.microsnap.core.internal.file;

import io.microsnap.core.RangeConsumer;
import io.microsnap.core.internal.posix.Constants;
import io.microsnap.core.internal.posix.Descriptor;
import io.microsnap.core.internal.posix.Errno;
import io.microsnap.core.internal.posix.ExtentAttributes;
import io.microsnap.core.internal.posix.FileMap;
import io.microsnap.core.internal.posix.FileSystemStat;
import io.microsnap.core.internal.posix.OperatingSystem;
import io.microsnap.core.internal.posix.Posix;
import java.io.IOException;
import java.lang.foreign.Arena;
import java.util.EnumSet;
import java.util.Objects;
import java.util.Optional;
import java.util.OptionalLong;
import java.util.Set;

/**
 * Finds a file's data, holes and extents. Queries do not change the file; all but {@link #punch} need a descriptor open
 * only for reading.
 */
public final class Extents {
    private static final int EXTENTS_AT_A_TIME = 512;
    private static final long CANNOT_SAY = -1;
    private static final Set<Errno> CANNOT_TELL = EnumSet.of(Errno.EINVAL, Errno.EOPNOTSUPP, Errno.ENOTSUP,
            Errno.ENOSYS, Errno.ENOTTY, Errno.ESPIPE, Errno.ENODEV);
    /** The errors of systems and filesystems that do not support an operation on a file's space. */
    static final Set<Errno> UNSUPPORTED = EnumSet.of(Errno.EOPNOTSUPP, Errno.ENOTSUP, Errno.ENOSYS, Errno.ENOTTY,
            Errno.ESPIPE, Errno.ENODEV, Errno.ENXIO);

    private Extents() {
    }

    /**
     * Names the ranges of a file that hold data, clipped to its end. Where the filesystem cannot tell, or cannot be
     * trusted, this names everything as one range and returns false: that range may hold long runs of zeros. On macOS
     * that is always so, because APFS has been seen to report holes over live data.
     */
    public static boolean data(Descriptor file, RangeConsumer ranges) throws IOException {
        return data(file, 0, file.sizeBytes(), ranges);
    }

    /** As {@link #data(Descriptor, RangeConsumer)}, for a part of the file that ends no later than the file. */
    public static boolean data(Descriptor file, long offset, long lengthBytes, RangeConsumer ranges)
            throws IOException {
        boolean[] told = {true};
        walk(file, offset, lengthBytes, ranges, (rest, restBytes) -> {
            told[0] = false;
            ranges.accept(rest, restBytes);
        });
        return told[0];
    }

    /**
     * Names the first range of data that ends after the offset and starts before the limit, clipped to start at the
     * offset, or no range. Where the filesystem cannot tell, this names all the rest of the file. The search for the
     * end may take long: {@link DataRanges} keeps the answer.
     */
    static void firstData(Descriptor file, long offset, long before, RangeConsumer range) throws IOException {
        requireRange(file, offset, 0);
        long end = StorageFile.sizeOf(file);
        Constants constants = file.posix().constants();
        boolean trusted = constants.operatingSystem() != OperatingSystem.MACOS;
        long start = trusted ? seek(file, offset, constants.SEEK_DATA) : CANNOT_SAY;
        if (start >= Math.min(before, end) || offset >= end) {
            return;
        }
        long stop = start < offset ? CANNOT_SAY : seek(file, start, constants.SEEK_HOLE);
        if (stop <= start) {
            range.accept(offset, end - offset);
        } else {
            range.accept(start, Math.min(stop, end) - start);
        }
    }

    /**
     * As {@link #data}, but passes the part of which the filesystem cannot tell to a second consumer: at most one
     * range, up to the end.
     */
    static void walk(Descriptor file, long offset, long lengthBytes, RangeConsumer data, RangeConsumer unknown)
            throws IOException {
        requireRange(file, offset, lengthBytes);
        Constants constants = file.posix().constants();
        boolean trusted = constants.operatingSystem() != OperatingSystem.MACOS;
        long end = offset + lengthBytes;
        long at = offset;
        while (at < end) {
            long start = trusted ? seek(file, at, constants.SEEK_DATA) : CANNOT_SAY;
            if (start >= end) {
                return;
            }
            long stop = start < at ? CANNOT_SAY : seek(file, start, constants.SEEK_HOLE);
            if (stop <= start) {
                unknown.accept(at, end - at);
                return;
            }
            stop = Math.min(stop, end);
            data.accept(start, stop - start);
            at = stop;
        }
    }

    /**
     * Returns a summary of a file's extents as the filesystem counts them; empty where it does not tell. The filesystem
     * first allocates blocks for content that is still only in memory, so this may take as long as a sync.
     */
    public static Optional<ExtentSummary> summary(Descriptor file) throws IOException {
        long extents = 0;
        long mapped = 0;
        long shared = 0;
        try (Walk walk = new Walk(file)) {
            while (walk.next()) {
                extents++;
                mapped += walk.lengthBytes();
                shared += walk.isShared() ? walk.lengthBytes() : 0;
            }
            return walk.told() ? Optional.of(new ExtentSummary(extents, mapped, shared)) : Optional.empty();
        }
    }

    /**
     * Returns in how many extents a file lies; empty where the filesystem does not tell. XFS knows the number.
     * Elsewhere this counts extents until the count exceeds the limit: an answer above the limit may be less than the
     * true number.
     */
    public static OptionalLong count(Descriptor file, long limit) throws IOException {
        if (file.fileSystem().type() == FileSystemStat.XFS) {
            Posix posix = file.posix();
            return OptionalLong.of(file.check("ioctl(FS_IOC_FSGETXATTR)",
                    file.uninterrupted(() -> ExtentAttributes.extents(posix, file.number())), "of its extents"));
        }
        long extents = 0;
        try (Walk walk = new Walk(file)) {
            while (extents <= limit && walk.next()) {
                extents++;
            }
            return walk.told() ? OptionalLong.of(extents) : OptionalLong.empty();
        }
    }

    /** Takes a file's extents one after another. */
    @FunctionalInterface
    public interface ExtentConsumer {
        /**
         * Takes an extent. The place is its position on the filesystem; negative where the bytes are not stored there
         * as they are.
         */
        void accept(long offset, long lengthBytes, long place) throws IOException;
    }

    /** Names a file's extents as the filesystem stores them; none where it does not tell. */
    public static void each(Descriptor file, ExtentConsumer extents) throws IOException {
        try (Walk walk = new Walk(file)) {
            while (walk.next()) {
                extents.accept(walk.offset(), walk.lengthBytes(), walk.place());
            }
        }
    }

    /**
     * Names the ranges in which two files of one filesystem share blocks at the same offsets, such as a clone and its
     * source; none where the filesystem does not tell. As {@link #summary}, this may take as long as a sync.
     */
    public static void inCommon(Descriptor left, Descriptor right, RangeConsumer ranges) throws IOException {
        if (left.status().device() != right.status().device()) {
            return;
        }
        try (Walk one = new Walk(left); Walk other = new Walk(right)) {
            boolean more = one.next() && other.next();
            while (more) {
                long from = Math.max(one.offset(), other.offset());
                long to = Math.min(one.end(), other.end());
                if (from < to && one.place() >= 0 && other.place() >= 0 && one.isShared() && other.isShared()
                        && one.place() + (from - one.offset()) == other.place() + (from - other.offset())) {
                    ranges.accept(from, to - from);
                }
                more = one.end() <= other.end() ? one.next() : other.next();
            }
        }
    }

    /** A file's extents, one after another. */
    private static final class Walk implements AutoCloseable {
        private final Descriptor file;
        private final FileMap map = new FileMap(EXTENTS_AT_A_TIME);
        private int index = -1;
        private int found;
        private boolean told = true;

        Walk(Descriptor file) {
            this.file = file;
        }

        /** Moves to the next extent. Returns false after the last one, and where the filesystem does not tell. */
        boolean next() throws IOException {
            if (index + 1 < found) {
                index++;
                return true;
            }
            long from = 0;
            if (index >= 0) {
                if (map.isLast(index) || end() <= offset()) {
                    return false;
                }
                from = end();
            }
            found = fetch(from);
            index = 0;
            return found > 0;
        }

        private int fetch(long from) throws IOException {
            Posix posix = file.posix();
            long result = file.uninterrupted(() -> map.fetch(posix, file.number(), from));
            if (CANNOT_TELL.contains(posix.constants().errno(result))) {
                told = false;
                return 0;
            }
            return (int) file.check("ioctl(FS_IOC_FIEMAP)", result, "from " + from);
        }

        boolean told() {
            return told;
        }

        long offset() {
            return map.offset(index);
        }

        long lengthBytes() {
            return map.lengthBytes(index);
        }

        long end() {
            return offset() + lengthBytes();
        }

        long place() {
            return map.place(index);
        }

        boolean isShared() {
            return map.isShared(index);
        }

        @Override
        public void close() {
            map.close();
        }
    }

    /**
     * Makes a range read as zeros and frees its space. The file keeps its length, also where the range reaches past its
     * end. Blocks that are only partly in the range keep the rest. Where the filesystem cannot punch, returns false and
     * leaves the range as it was.
     */
    public static boolean punch(Descriptor file, long offset, long lengthBytes) throws IOException {
        requireRange(file, offset, lengthBytes);
        if (lengthBytes == 0) {
            return true;
        }
        Constants constants = file.posix().constants();
        if (constants.operatingSystem() == OperatingSystem.MACOS) {
            return punchWholeBlocks(file, offset, lengthBytes);
        }
        return punchHole(file, offset, lengthBytes);
    }

    /** macOS frees only whole blocks, so partial blocks at the ends of the range are overwritten with zeros. */
    private static boolean punchWholeBlocks(Descriptor file, long offset, long lengthBytes) throws IOException {
        long end = Math.min(offset + lengthBytes, file.sizeBytes());
        long block = file.fileSystem().blockSizeBytes();
        long firstBlock = Math.ceilDiv(offset, block) * block;
        long lastBlock = end / block * block;
        if (firstBlock >= lastBlock) {
            zero(file, offset, end);
            return true;
        }
        if (!punchHole(file, firstBlock, lastBlock - firstBlock)) {
            return false;
        }
        zero(file, offset, firstBlock);
        zero(file, lastBlock, end);
        return true;
    }

    private static void zero(Descriptor file, long from, long to) throws IOException {
        if (from < to) {
            try (Arena arena = Arena.ofConfined()) {
                file.writeFully(arena.allocate(to - from), from);
            }
        }
    }

    private static boolean punchHole(Descriptor file, long offset, long lengthBytes) throws IOException {
        Posix posix = file.posix();
        Constants constants = posix.constants();
        int mode = constants.FALLOC_FL_PUNCH_HOLE | constants.FALLOC_FL_KEEP_SIZE;
        long result = file.uninterrupted(() -> posix.fallocate(file.number(), mode, offset, lengthBytes));
        if (result < 0 && UNSUPPORTED.contains(constants.errno(result))) {
            return false;
        }
        file.check("fallocate(PUNCH_HOLE)", result, "of " + lengthBytes + " bytes at " + offset);
        return true;
    }

    /** Refuses a range that is negative or overflows: a mistake of the caller's. */
    static void requireRange(Descriptor file, long offset, long lengthBytes) {
        try {
            Objects.checkFromIndexSize(offset, lengthBytes, Long.MAX_VALUE);
        } catch (IndexOutOfBoundsException impossible) {
            throw new IllegalArgumentException(
                    file.name() + ": no file has " + lengthBytes + " bytes at " + offset, impossible);
        }
    }

    /** Returns the next data or hole; an offset past every file if there is none; {@link #CANNOT_SAY}. */
    private static long seek(Descriptor file, long offset, int whence) throws IOException {
        long result = file.posix().lseek(file.number(), offset, whence);
        return result >= 0 ? result : judge(file, offset, whence, result);
    }

    /** Kept apart from the hot path, which is taken a hundred thousand times. */
    private static long judge(Descriptor file, long offset, int whence, long failed) throws IOException {
        Constants constants = file.posix().constants();
        long result = constants.failedWith(failed, Errno.EINTR)
                ? file.uninterrupted(() -> file.posix().lseek(file.number(), offset, whence)) : failed;
        if (constants.failedWith(result, Errno.ENXIO)) {
            return Long.MAX_VALUE;
        }
        if (result < 0 && CANNOT_TELL.contains(constants.errno(result))) {
            return CANNOT_SAY;
        }
        return file.check(whence == constants.SEEK_DATA ? "lseek(SEEK_DATA)" : "lseek(SEEK_HOLE)", result,
                "from " + offset);
    }
}
