package io.microsnap.benchmarks;

import java.io.IOException;
import java.lang.foreign.MemorySegment;
import java.lang.foreign.ValueLayout;
import java.nio.ByteBuffer;
import java.nio.ByteOrder;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.BitSet;
import java.util.Locale;
import java.util.SplittableRandom;

/** The pages that a guest touches, in the order in which it does. */
final class TouchPattern {
    private static final int LONGEST_RUN = 15;

    private final long[] pages;

    /** How touched pages lie. */
    enum Shape {
        /** In runs of one to fifteen pages, eight on average, each touched in order; the runs come in any order. */
        RUNS,
        /** Each by itself, in any order. */
        SINGLE;

        String label() {
            return name().toLowerCase(Locale.ROOT);
        }
    }

    private TouchPattern(long[] pages) {
        this.pages = pages;
    }

    /** So many different pages of a guest; the same for the same seed. */
    static TouchPattern of(Shape shape, long guestPages, int touched, long seed) {
        SplittableRandom random = new SplittableRandom(seed);
        BitSet taken = new BitSet();
        long[] pages = new long[touched];
        int count = 0;
        while (count < touched) {
            int run = Math.min(touched - count, shape == Shape.SINGLE ? 1 : random.nextInt(1, LONGEST_RUN + 1));
            int first = random.nextInt((int) guestPages - run);
            // No two runs touch each other, or they would be one.
            int next = taken.nextSetBit(Math.max(0, first - 1));
            if (next < 0 || next > first + run) {
                taken.set(first, first + run);
                for (int page = first; page < first + run; page++) {
                    pages[count] = page;
                    count++;
                }
            }
        }
        return new TouchPattern(pages);
    }

    int count() {
        return pages.length;
    }

    /** Reads a byte of each page, and returns what they come to. */
    long touch(MemorySegment memory) {
        long sum = 0;
        for (long page : pages) {
            sum += memory.get(ValueLayout.JAVA_BYTE, page * Guest.PAGE + Long.BYTES);
        }
        return sum;
    }

    /** Writes the numbers for a peer: 64 bits each, little-endian. */
    Path write(Path file) throws IOException {
        ByteBuffer numbers = ByteBuffer.allocate(pages.length * Long.BYTES).order(ByteOrder.LITTLE_ENDIAN);
        numbers.asLongBuffer().put(pages);
        return Files.write(file, numbers.array());
    }
}
