package io.microsnap.memory.internal.image;

import io.microsnap.core.PageReader;
import java.io.IOException;
import java.util.Arrays;

/**
 * Finds out which parts of the given runs were ever populated. It asks the reader once for many short runs that lie
 * near each other: asking for each would cost as much as writing it.
 */
final class PopulatedRuns {
    private static final int MOST_RUNS = 256;
    private static final long WINDOW_BYTES = 4L << 20;
    /** Scanning this many unwanted pages costs as much as another question. */
    private static final int LARGEST_GAP_PAGES = 128;

    /** Takes the parts in ascending order; together they are the runs. */
    interface Parts {
        void populated(long offset, long lengthBytes) throws IOException;

        /** Takes a part that was never populated: it is zero and must not be read. */
        void empty(long offset, long lengthBytes) throws IOException;
    }

    private final PageReader reader;
    private final Parts parts;
    private final long pageBytes;
    private final long imageBytes;
    private final long[] starts = new long[MOST_RUNS];
    private final long[] ends = new long[MOST_RUNS];
    private long[] found = new long[2 * MOST_RUNS];
    private int foundEnd;
    private int runs;
    private int current;
    private long told;

    PopulatedRuns(PageReader reader, Parts parts) {
        this.reader = reader;
        this.parts = parts;
        pageBytes = reader.layout().pageBytes();
        imageBytes = reader.layout().lengthBytes();
    }

    /** Takes a run that comes after the earlier ones, and starts and ends on pages. */
    void run(long offset, long lengthBytes) throws IOException {
        if (runs == MOST_RUNS || (runs > 0 && (offset + lengthBytes - starts[0] > WINDOW_BYTES
                || offset - ends[runs - 1] > LARGEST_GAP_PAGES * pageBytes))) {
            flush();
        }
        starts[runs] = offset;
        ends[runs] = offset + lengthBytes;
        runs++;
    }

    /** Passes on the runs that are held back. */
    void flush() throws IOException {
        if (runs == 0) {
            return;
        }
        long from = starts[0];
        foundEnd = 0;
        // Collects all answers first: a reader may block other threads while it answers.
        reader.populated(from, ends[runs - 1] - from, this::found);
        current = 0;
        told = from;
        for (int range = 0; range < foundEnd; range += 2) {
            tellPopulated(found[range], found[range + 1]);
        }
        tellEmptyUpTo(Long.MAX_VALUE);
        runs = 0;
    }

    private void found(long offset, long lengthBytes) {
        if (foundEnd == found.length) {
            found = Arrays.copyOf(found, 2 * foundEnd);
        }
        found[foundEnd++] = offset;
        found[foundEnd++] = lengthBytes;
    }

    private void tellPopulated(long offset, long lengthBytes) throws IOException {
        // A page that is populated in part is populated.
        long from = offset - offset % pageBytes;
        long to = Math.min(imageBytes, (offset + lengthBytes + pageBytes - 1) / pageBytes * pageBytes);
        tellEmptyUpTo(from);
        while (current < runs && told < to) {
            long end = Math.min(to, ends[current]);
            if (end > told) {
                parts.populated(told, end - told);
            }
            advance(end);
        }
    }

    private void tellEmptyUpTo(long offset) throws IOException {
        while (current < runs && told < offset) {
            long end = Math.min(offset, ends[current]);
            if (end > told) {
                parts.empty(told, end - told);
            }
            advance(end);
        }
    }

    /** Moves on to an offset that lies in the current run, at its end, or before the next one. */
    private void advance(long offset) {
        told = offset;
        if (told >= ends[current]) {
            current++;
            if (current < runs) {
                told = Math.max(told, starts[current]);
            }
        }
    }
}
