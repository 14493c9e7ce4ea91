package io.microsnap.core.internal.file;

import io.microsnap.core.internal.work.Uninterrupted;
import java.util.ArrayList;
import java.util.List;

/**
 * Locks ranges of a file. Requests for overlapping ranges wait for each other in the order of arrival, others do not
 * wait. A thread holds one range at a time.
 */
final class RangeLocks {
    private final List<Range> inOrder = new ArrayList<>();

    /** A locked range; closing it unlocks it. */
    final class Range implements AutoCloseable {
        private final long from;
        private final long to;

        private Range(long from, long to) {
            this.from = from;
            this.to = to;
        }

        @Override
        public void close() {
            leave(this);
        }
    }

    /** Waits until no earlier range overlaps with this one. */
    Range hold(long from, long to) {
        Range range = new Range(from, to);
        synchronized (this) {
            inOrder.add(range);
            Uninterrupted.await(() -> {
                while (waits(range)) {
                    wait();
                }
            });
        }
        return range;
    }

    private boolean waits(Range range) {
        for (Range earlier : inOrder) {
            if (earlier == range) {
                return false;
            }
            if (earlier.from < range.to && range.from < earlier.to) {
                return true;
            }
        }
        return false;
    }

    private synchronized void leave(Range range) {
        inOrder.remove(range);
        notifyAll();
    }
}
