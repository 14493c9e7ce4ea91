package io.microsnap.memory.internal.ahead;

import java.util.Arrays;

/** Holds ranges of image offsets in the order of adding, without an object for each. */
public final class PageRuns {
    private static final int FIRST = 256;

    private long[] offsets = new long[FIRST];
    private long[] lengths = new long[FIRST];
    private int count;
    private long lengthBytes;

    /** Adds a range. */
    public void add(long offset, long runBytes) {
        if (count == offsets.length) {
            offsets = Arrays.copyOf(offsets, 2 * count);
            lengths = Arrays.copyOf(lengths, 2 * count);
        }
        offsets[count] = offset;
        lengths[count] = runBytes;
        count++;
        lengthBytes += runBytes;
    }

    /** Returns how many ranges there are. */
    public int count() {
        return count;
    }

    /** Returns their total length. */
    public long lengthBytes() {
        return lengthBytes;
    }

    long offset(int run) {
        return offsets[run];
    }

    long length(int run) {
        return lengths[run];
    }
}
