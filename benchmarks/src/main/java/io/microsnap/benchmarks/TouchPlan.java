package io.microsnap.benchmarks;

import java.lang.foreign.MemorySegment;
import java.lang.foreign.ValueLayout;
import java.util.ArrayList;
import java.util.Collections;
import java.util.List;
import java.util.Locale;
import java.util.Random;

/** The pages that a guest touches after its restore, in this order: the same for both sides. */
final class TouchPlan {
    private static final int PAGE = Guest.PAGE;
    /** Runs are 8 pages long on average, as those of real guests. */
    private static final int SLOT_PAGES = 16;
    private static final int SPARSE_SLOT_PAGES = 8;
    private static final long SEED = 20260405;

    private final long[] offsets;

    private TouchPlan(long[] offsets) {
        this.offsets = offsets;
    }

    /** Which pages. */
    enum Pattern {
        SEQUENTIAL, RUNS, PAGES;

        String label() {
            return name().toLowerCase(Locale.ROOT);
        }
    }

    /** Touches so many bytes among the populated pages of a guest. */
    static TouchPlan of(Pattern pattern, long touchedBytes, StoredGuest.Populated populated) {
        int wanted = Math.toIntExact(touchedBytes / PAGE);
        Random random = new Random(SEED);
        long[] offsets = new long[wanted];
        if (pattern == Pattern.SEQUENTIAL) {
            for (int page = 0; page < wanted; page++) {
                offsets[page] = populated.offset(page);
            }
            return new TouchPlan(offsets);
        }
        int slotPages = pattern == Pattern.RUNS ? SLOT_PAGES : SPARSE_SLOT_PAGES;
        List<Integer> slots = new ArrayList<>();
        for (int slot = 0; slot < populated.pages() / slotPages; slot++) {
            slots.add(slot);
        }
        Collections.shuffle(slots, random);
        int done = 0;
        for (int slot : slots) {
            int length = pattern == Pattern.RUNS ? 1 + random.nextInt(slotPages - 1) : 1;
            int first = random.nextInt(slotPages - length + 1);
            for (int page = first; page < first + length && done < wanted; page++) {
                offsets[done++] = populated.offset((long) slot * slotPages + page);
            }
        }
        if (done < wanted) {
            throw new IllegalArgumentException("the guest has not so many places: "
                    + String.format(Locale.ROOT, "%d of %d", done, wanted));
        }
        return new TouchPlan(offsets);
    }

    int pages() {
        return offsets.length;
    }

    /** Reads from each page of a part of the plan, and returns the sum of what it read. */
    long touch(MemorySegment memory, int from, int until) {
        long sum = 0;
        for (int page = from; page < until; page++) {
            sum += memory.get(ValueLayout.JAVA_LONG, offsets[page]);
        }
        return sum;
    }

    /** Writes the offsets into a peer's plan, one a line. */
    void tell(StringBuilder plan) {
        plan.append("pages ").append(offsets.length).append('\n');
        for (long offset : offsets) {
            plan.append(offset).append('\n');
        }
    }
}
