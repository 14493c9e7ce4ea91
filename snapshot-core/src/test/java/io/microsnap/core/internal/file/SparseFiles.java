package io.microsnap.core.internal.file;

import io.microsnap.core.internal.posix.Constants;
import io.microsnap.core.internal.posix.Descriptor;
import io.microsnap.core.internal.posix.Posix;
import java.io.IOException;
import java.io.RandomAccessFile;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.List;
import java.util.Random;
import java.util.stream.Stream;

/** Files with holes, made to order, and what tests ask of them. */
final class SparseFiles {
    private static final Posix POSIX = Posix.host();
    private static final Constants CONSTANTS = POSIX.constants();

    private SparseFiles() {
    }

    /** A file of this length with random bytes, never zero, at each offset. */
    static Path make(Path file, long lengthBytes, int dataBytes, long... offsets) throws IOException {
        try (RandomAccessFile open = new RandomAccessFile(file.toFile(), "rw")) {
            open.setLength(lengthBytes);
            for (long offset : offsets) {
                open.seek(offset);
                open.write(bytes(dataBytes, offset));
            }
        }
        return file;
    }

    /** Random bytes, none of them zero. */
    static byte[] bytes(int length, long seed) {
        byte[] bytes = new byte[length];
        new Random(seed).nextBytes(bytes);
        for (int index = 0; index < length; index++) {
            bytes[index] |= 1;
        }
        return bytes;
    }

    static Descriptor openForReading(Path file) throws IOException {
        return Descriptor.open(POSIX, file, CONSTANTS.O_RDONLY, 0);
    }

    static Descriptor openForWriting(Path file) throws IOException {
        return Descriptor.open(POSIX, file, CONSTANTS.O_RDWR, 0);
    }

    static Descriptor openDirectory(Posix posix, Path directory) throws IOException {
        return Descriptor.open(posix, directory, CONSTANTS.O_RDONLY | CONSTANTS.O_DIRECTORY, 0);
    }

    /** The ranges that hold data, as {@code offset+length}. */
    static List<String> dataRanges(Path file) throws IOException {
        List<String> ranges = new ArrayList<>();
        try (Descriptor open = openForReading(file)) {
            Extents.data(open, (offset, lengthBytes) -> ranges.add(offset + "+" + lengthBytes));
        }
        return ranges;
    }

    static long allocatedBytes(Path file) throws IOException {
        try (Descriptor open = openForReading(file)) {
            return open.status().allocatedBytes();
        }
    }

    static long sharedBytes(Path file) throws IOException {
        try (Descriptor open = openForReading(file)) {
            return Extents.summary(open).map(ExtentSummary::sharedBytes).orElse(0L);
        }
    }

    static List<String> namesIn(Path directory) throws IOException {
        try (Stream<Path> entries = Files.list(directory)) {
            return entries.map(entry -> entry.getFileName().toString()).sorted().toList();
        }
    }
}
