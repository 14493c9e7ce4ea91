package io.microsnap.benchmarks;

import io.microsnap.core.internal.posix.Constants;
import io.microsnap.core.internal.posix.Descriptor;
import io.microsnap.core.internal.posix.Posix;
import java.io.IOException;
import java.lang.foreign.Arena;
import java.lang.foreign.MemorySegment;
import java.nio.ByteBuffer;
import java.nio.channels.FileChannel;
import java.nio.file.Files;
import java.nio.file.Path;
import java.nio.file.StandardOpenOption;
import java.util.SplittableRandom;

/** A canonical image, and one that differs from it in runs, as often as it is needed anew. */
final class DedupImages {
    /** Where every other run differs, the first few do not: a budget counts the extents of the canonical image, too. */
    private static final int ALIKE_RUNS = 32;
    private static final int CHUNK = 1 << 20;
    private static final int PAGE = 4096;
    private static final Posix POSIX = Posix.host();
    private static final Constants CONSTANTS = POSIX.constants();

    private final Path canonical;
    private final Path pristine;

    private DedupImages(Path canonical, Path pristine) {
        this.canonical = canonical;
        this.pristine = pristine;
    }

    /**
     * Makes both.
     *
     * @param runBytes pages differ in runs of this length
     * @param differingPercent how many of the runs differ; 50 makes every other one differ, but for the first few
     */
    static DedupImages make(Path directory, long lengthBytes, int runBytes, int differingPercent) throws IOException {
        DedupImages images = new DedupImages(directory.resolve("canonical"), directory.resolve("pristine"));
        SplittableRandom random = new SplittableRandom(lengthBytes);
        byte[] chunk = new byte[CHUNK];
        try (FileChannel first = create(images.canonical); FileChannel second = create(images.pristine)) {
            for (long at = 0; at < lengthBytes; at += CHUNK) {
                random.nextBytes(chunk);
                write(first, chunk, at);
                for (int run = 0; run < CHUNK; run += runBytes) {
                    long number = (at + run) / runBytes;
                    boolean differs = differingPercent == 50 ? number % 2 == 0 && number > ALIKE_RUNS
                            : random.nextInt(100) < differingPercent;
                    for (int page = run; differs && page < run + runBytes; page += PAGE) {
                        chunk[page]++;
                    }
                }
                write(second, chunk, at);
            }
            first.force(true);
            second.force(true);
        }
        return images;
    }

    Path canonical() {
        return canonical;
    }

    Path pristine() {
        return pristine;
    }

    /** A new copy of the image that differs: synced, and all of it and of the canonical one in the page cache. */
    void renew(Path target) throws IOException {
        Files.deleteIfExists(target);
        ByteBuffer buffer = ByteBuffer.allocateDirect(CHUNK);
        try (FileChannel from = FileChannel.open(pristine); FileChannel to = create(target)) {
            while (from.read(buffer.clear()) > 0) {
                buffer.flip();
                while (buffer.hasRemaining()) {
                    to.write(buffer);
                }
            }
            to.force(true);
        }
        readThrough(target);
        readThrough(canonical);
    }

    /** Reads a file from its start to its end. */
    static void readThrough(Path file) throws IOException {
        try (Descriptor open = Descriptor.open(POSIX, file, CONSTANTS.O_RDONLY, 0); Arena arena = Arena.ofConfined()) {
            MemorySegment buffer = arena.allocate(CHUNK, PAGE);
            long at = 0;
            for (long read = open.read(buffer, at); read > 0; read = open.read(buffer, at)) {
                at += read;
            }
        }
    }

    /** Has the kernel forget what it has of a file in memory. */
    static void makeCold(Path file) throws IOException {
        try (Descriptor open = Descriptor.open(POSIX, file, CONSTANTS.O_RDONLY, 0)) {
            open.sync();
            open.check("posix_fadvise", POSIX.posix_fadvise(
                    open.number(), 0, open.sizeBytes(), CONSTANTS.POSIX_FADV_DONTNEED), "");
        }
    }

    void requireSame(Path target) throws IOException {
        long difference = Files.mismatch(pristine, target);
        if (difference >= 0) {
            throw new IOException(target + " differs from what it was, from byte " + difference + " on");
        }
    }

    private static FileChannel create(Path file) throws IOException {
        return FileChannel.open(file, StandardOpenOption.CREATE, StandardOpenOption.WRITE);
    }

    private static void write(FileChannel file, byte[] bytes, long at) throws IOException {
        ByteBuffer buffer = ByteBuffer.wrap(bytes);
        while (buffer.hasRemaining()) {
            file.write(buffer, at + buffer.position());
        }
    }
}
