package io.microsnap.dedup;

import io.microsnap.core.store.PageIndex;
import java.io.IOException;
import java.lang.foreign.Arena;
import java.lang.foreign.MemorySegment;
import java.lang.foreign.ValueLayout;
import java.util.Arrays;

/**
 * How alike a target and other images are, from their indexes alone and, at first, from a sample: runs of entries that
 * are spread over the whole image and hold enough of what the target has. Pages of zeros do not count.
 */
final class IndexLikeness {
    /** What is read and checked together in an index. */
    private static final int RUN_PAGES = 1024;
    private static final int LEAST_RUNS = 16;
    private static final long LEAST_PAGES = 16 * 1024;
    /** Neighbouring multiples of it, modulo anything, are far from each other. */
    private static final double GOLDEN_RATIO = 0.6180339887498949;

    private final IndexEvidence target;
    private final long pageCount;
    private final long runCount;
    private final long[] sample;
    private final long sampledPages;

    /**
     * What two images have in common.
     *
     * @param equalPages pages, not zero, that both hold alike
     * @param pages pages, not zero, that the target holds
     */
    record Likeness(long equalPages, long pages) {
        double share() {
            return pages == 0 ? 0 : (double) equalPages / pages;
        }
    }

    IndexLikeness(IndexEvidence target) throws IOException {
        this.target = target;
        pageCount = target.index().layout().pageCount();
        runCount = Math.ceilDiv(pageCount, (long) RUN_PAGES);
        long step = coprimeStep(runCount);
        long[] runs = new long[(int) Math.min(runCount, Integer.MAX_VALUE - Long.BYTES)];
        int count = 0;
        long pages = 0;
        try (Counter counter = new Counter()) {
            long run = 0;
            while (count < runs.length && (count < LEAST_RUNS || pages < LEAST_PAGES)) {
                runs[count] = run;
                pages += counter.compare(run, target).pages();
                run = (run + step) % runCount;
                count++;
            }
        }
        sample = Arrays.copyOf(runs, count);
        Arrays.sort(sample);
        sampledPages = pages;
    }

    /** Whether the sample is everything. */
    boolean isExact() {
        return sample.length == runCount;
    }

    /** How many of the target's pages, zeros aside, are in the sample. */
    long sampledPages() {
        return sampledPages;
    }

    /** As far as the sample tells. */
    Likeness sampled(IndexEvidence other) throws IOException {
        long equal = 0;
        long pages = 0;
        try (Counter counter = new Counter()) {
            for (long run : sample) {
                Likeness part = counter.compare(run, other);
                equal += part.equalPages();
                pages += part.pages();
            }
        }
        return new Likeness(equal, pages);
    }

    /** Page by page. */
    Likeness exact(IndexEvidence other) throws IOException {
        long equal = 0;
        long pages = 0;
        other.index().load(0, pageCount);
        try (Counter counter = new Counter()) {
            for (long run = 0; run < runCount; run++) {
                Likeness part = counter.compare(run, other);
                equal += part.equalPages();
                pages += part.pages();
            }
        }
        return new Likeness(equal, pages);
    }

    private static long coprimeStep(long count) {
        long step = Math.max(1, Math.round(count * GOLDEN_RATIO));
        while (greatestCommonDivisor(step, count) != 1) {
            step++;
        }
        return step;
    }

    private static long greatestCommonDivisor(long one, long other) {
        return other == 0 ? one : greatestCommonDivisor(other, one % other);
    }

    /** Buffers for one run of entries of each side. */
    private final class Counter implements AutoCloseable {
        private final Arena arena = Arena.ofConfined();
        private final MemorySegment mine = arena.allocate(ValueLayout.JAVA_INT, RUN_PAGES);
        private final MemorySegment others = arena.allocate(ValueLayout.JAVA_INT, RUN_PAGES);

        Likeness compare(long run, IndexEvidence other) throws IOException {
            long first = run * RUN_PAGES;
            int count = (int) Math.min(RUN_PAGES, pageCount - first);
            PageIndex index = target.index();
            index.crcs(first, mine.asSlice(0, (long) count * Integer.BYTES));
            other.index().crcs(first, others.asSlice(0, (long) count * Integer.BYTES));
            boolean all = target.own().isEmpty() && other.own().isEmpty();
            int zero = index.zero(0);
            long pages = 0;
            long equal = 0;
            for (int at = 0; at < count; at++) {
                int entry = mine.getAtIndex(ValueLayout.JAVA_INT, at);
                boolean counts = entry != zero && (all || target.holds(first + at));
                if (counts) {
                    pages++;
                    equal += entry == others.getAtIndex(ValueLayout.JAVA_INT, at)
                            && (all || other.holds(first + at)) ? 1 : 0;
                }
            }
            return new Likeness(equal, pages);
        }

        @Override
        public void close() {
            arena.close();
        }
    }
}
