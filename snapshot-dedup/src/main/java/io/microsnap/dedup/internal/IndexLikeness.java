package io.microsnap.dedup.internal;

import io.microsnap.store.internal.PageIndex;
import java.io.IOException;
import java.lang.foreign.Arena;
import java.lang.foreign.MemorySegment;
import java.lang.foreign.ValueLayout;

/**
 * Estimates how similar a target and other images are, from their indexes alone. Runs of pages whose checksums have the
 * same checksum are equal; of the other runs it examines all, or a sample. Pages of zeros do not count.
 */
public final class IndexLikeness {
    private static final int RUN_PAGES = PageIndex.PAGES_IN_CHUNK;
    /** Its multiples, modulo one, are far apart: this avoids aliasing with periodic data. */
    private static final double GOLDEN_RATIO = 0.6180339887498949;

    private final IndexEvidence target;
    private final long pageCount;
    /** The number of the target's nonzero pages in each run. */
    private final int[] held;
    private final long heldPages;

    /**
     * How similar two images are.
     *
     * @param equalPages nonzero pages that are equal in both
     * @param pages nonzero pages of the target
     */
    public record Likeness(long equalPages, long pages) {
        public double share() {
            return pages == 0 ? 0 : (double) equalPages / pages;
        }
    }

    public IndexLikeness(IndexEvidence target) throws IOException {
        this.target = target;
        pageCount = target.index().layout().pageCount();
        held = new int[Math.toIntExact(Math.ceilDiv(pageCount, (long) RUN_PAGES))];
        target.index().load(0, pageCount);
        long all = 0;
        try (Counter counter = new Counter()) {
            for (int run = 0; run < held.length; run++) {
                counter.compare(run, target);
                held[run] = counter.pages;
                all += counter.pages;
            }
        }
        heldPages = all;
    }

    /** Compares page by page; throws if any entry is damaged. */
    public Likeness exact(IndexEvidence other) throws IOException {
        other.index().load(0, pageCount);
        return sampled(other, held.length);
    }

    /** Estimates from at most this many of the runs that are not known to be equal. */
    public Likeness sampled(IndexEvidence other, int mostRuns) throws IOException {
        boolean bothHoldAll = target.own().isEmpty() && other.own().isEmpty();
        int[] open = new int[held.length];
        int openRuns = 0;
        long openPages = 0;
        long equal = 0;
        for (int run = 0; run < held.length; run++) {
            if (bothHoldAll && target.index().isSameChunk(other.index(), (long) run * RUN_PAGES)) {
                equal += held[run];
            } else if (held[run] > 0) {
                open[openRuns++] = run;
                openPages += held[run];
            }
        }
        int reads = Math.min(openRuns, mostRuns);
        long readPages = 0;
        long readEqual = 0;
        try (Counter counter = new Counter()) {
            for (int read = 0; read < reads; read++) {
                double within = read * GOLDEN_RATIO % 1;
                counter.compare(open[(int) ((read + within) * openRuns / reads)], other);
                readPages += counter.pages;
                readEqual += counter.equal;
            }
        }
        // Extrapolates from the examined runs.
        equal += reads == openRuns ? readEqual : Math.round((double) readEqual / readPages * openPages);
        return new Likeness(equal, heldPages);
    }

    /** Counts one run at a time. */
    private final class Counter implements AutoCloseable {
        private final Arena arena = Arena.ofConfined();
        private final MemorySegment mine = arena.allocate(ValueLayout.JAVA_INT, RUN_PAGES);
        private final MemorySegment others = arena.allocate(ValueLayout.JAVA_INT, RUN_PAGES);
        private final int zero = target.index().zero(0);
        private int pages;
        private int equal;

        void compare(int run, IndexEvidence other) throws IOException {
            long first = (long) run * RUN_PAGES;
            int count = (int) Math.min(RUN_PAGES, pageCount - first);
            target.index().crcs(first, mine.asSlice(0, (long) count * Integer.BYTES));
            other.index().crcs(first, others.asSlice(0, (long) count * Integer.BYTES));
            boolean bothHoldAll = target.own().isEmpty() && other.own().isEmpty();
            pages = 0;
            equal = 0;
            for (int at = 0; at < count; at++) {
                int entry = mine.getAtIndex(ValueLayout.JAVA_INT, at);
                if (entry != zero && (bothHoldAll || target.holds(first + at))) {
                    pages++;
                    equal += entry == others.getAtIndex(ValueLayout.JAVA_INT, at)
                            && (bothHoldAll || other.holds(first + at)) ? 1 : 0;
                }
            }
        }

        @Override
        public void close() {
            arena.close();
        }
    }
}
