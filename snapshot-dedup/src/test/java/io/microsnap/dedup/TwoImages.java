package io.microsnap.dedup;

import io.microsnap.core.internal.posix.Constants;
import io.microsnap.core.internal.posix.Descriptor;
import io.microsnap.core.internal.posix.Posix;
import java.io.IOException;
import java.io.RandomAccessFile;
import java.io.UncheckedIOException;
import java.nio.file.Path;
import java.util.Arrays;
import java.util.SplittableRandom;

/** A canonical image and a target, made from a seed, and what is known of them because of how they were made. */
final class TwoImages {
    static final int PAGE = 4096;
    private static final Posix POSIX = Posix.host();

    final Path canonical;
    final Path target;
    /** What the target has in blocks of its own and the canonical image has too, or has as a hole that reads alike. */
    final long equalDataBytes;

    private TwoImages(Path canonical, Path target, long equalDataBytes) {
        this.canonical = canonical;
        this.target = target;
        this.equalDataBytes = equalDataBytes;
    }

    /** How the target differs from the canonical image. */
    enum Pattern {
        RUNS, SINGLE_PAGES, SHIFTED
    }

    /**
     * Both images are synced and shut when this returns.
     *
     * @param differingPercent how many of the pages differ
     * @param holePercent how many pages are holes in one image or in both, and how many are zeros written out
     */
    static TwoImages make(Path directory, SplittableRandom random, long lengthBytes, int differingPercent,
            Pattern pattern, int holePercent) {
        int pages = (int) Math.ceilDiv(lengthBytes, (long) PAGE);
        byte[] canonical = new byte[(int) lengthBytes];
        random.nextBytes(canonical);
        byte[] target = canonical.clone();
        boolean[] canonicalHole = new boolean[pages];
        boolean[] targetHole = new boolean[pages];
        switch (pattern) {
            case SHIFTED -> System.arraycopy(canonical, 0, target, PAGE, target.length - PAGE);
            case SINGLE_PAGES -> {
                for (int page = 0; page < pages; page++) {
                    if (random.nextInt(100) < differingPercent) {
                        change(target, random, page, page + 1);
                    }
                }
            }
            case RUNS -> {
                int run = 64;
                for (int page = 0; page < pages; page += run) {
                    if (random.nextInt(100) < differingPercent) {
                        change(target, random, page, Math.min(pages, page + run));
                    }
                }
            }
        }
        for (int page = 0; page < pages; page += 32) {
            if (random.nextInt(100) < holePercent) {
                int end = Math.min(pages, page + 32);
                switch (random.nextInt(4)) {
                    case 0 -> {
                        zero(canonical, canonicalHole, page, end);
                        zero(target, targetHole, page, end);
                    }
                    case 1 -> zero(canonical, canonicalHole, page, end);
                    case 2 -> zero(target, targetHole, page, end);
                    default -> {
                        // Zeros written out against a hole.
                        zero(canonical, canonicalHole, page, end);
                        zero(target, new boolean[pages], page, end);
                    }
                }
            }
        }
        long equal = 0;
        for (int page = 0; page < pages; page++) {
            int from = page * PAGE;
            int to = (int) Math.min(lengthBytes, from + PAGE);
            equal += !targetHole[page] && Arrays.equals(canonical, from, to, target, from, to) ? to - from : 0;
        }
        try {
            return new TwoImages(write(directory.resolve("canonical"), canonical, canonicalHole),
                    write(directory.resolve("target"), target, targetHole), equal);
        } catch (IOException e) {
            throw new UncheckedIOException(e);
        }
    }

    /** Two files with this content, synced. */
    static TwoImages of(Path directory, byte[] canonical, byte[] target) throws IOException {
        boolean[] none = new boolean[Math.ceilDiv(Math.max(canonical.length, target.length), PAGE)];
        return new TwoImages(write(directory.resolve("canonical"), canonical, none),
                write(directory.resolve("target"), target, none), 0);
    }

    /** Bytes that look like no others. */
    static byte[] bytes(int length, long seed) {
        byte[] bytes = new byte[length];
        new SplittableRandom(seed).nextBytes(bytes);
        return bytes;
    }

    static Descriptor open(Path file) throws IOException {
        Constants constants = POSIX.constants();
        return Descriptor.open(POSIX, file, constants.O_RDONLY, 0);
    }

    /** Free space of the filesystem that holds a directory, after everything on it was synced and given back. */
    static long freeBytes(Path directory) throws IOException {
        try (Descriptor open = open(directory)) {
            return Allocation.freeBytesAfterSync(open);
        }
    }

    private static void change(byte[] image, SplittableRandom random, int firstPage, int endPage) {
        for (int page = firstPage; page < endPage; page++) {
            int length = Math.min(PAGE, image.length - page * PAGE);
            // One byte is enough, wherever it is.
            int at = page * PAGE + random.nextInt(length);
            image[at] ^= (byte) (1 + random.nextInt(255));
        }
    }

    private static void zero(byte[] image, boolean[] hole, int firstPage, int endPage) {
        Arrays.fill(image, firstPage * PAGE, Math.min(image.length, endPage * PAGE), (byte) 0);
        Arrays.fill(hole, firstPage, endPage, true);
    }

    private static Path write(Path path, byte[] image, boolean[] hole) throws IOException {
        try (RandomAccessFile file = new RandomAccessFile(path.toFile(), "rw")) {
            file.setLength(image.length);
            for (int page = 0; page * PAGE < image.length;) {
                int end = page + 1;
                while (end * PAGE < image.length && hole[end] == hole[page]) {
                    end++;
                }
                if (!hole[page]) {
                    file.seek((long) page * PAGE);
                    file.write(image, page * PAGE, Math.min(end * PAGE, image.length) - page * PAGE);
                }
                page = end;
            }
            file.getFD().sync();
        }
        return path;
    }
}
