package io.microsnap.memory.misuse;

import io.microsnap.core.SnapshotId;
import io.microsnap.memory.Capture;
import io.microsnap.memory.InMemoryPageReader;
import io.microsnap.store.SnapshotStore;
import java.lang.ref.Reference;
import java.util.SplittableRandom;

/**
 * Uses up the heap, but for a few bytes, in a call during the pause, so that one of the next allocations fails. There
 * is room again when the machine goes on. For a process with a small heap.
 */
final class HeapUsedUp implements Misuse {
    @Override
    public void round(SnapshotStore store, InMemoryPageReader guest, SplittableRandom random) throws Exception {
        try (TroubledGuest troubled = new TroubledGuest(random)) {
            troubled.requireCapturable(store, random);
            SnapshotId id = troubled.nextId();
            Capture plan = Capture.of(store, id, troubled).tracker(troubled.tracker()).progress(troubled::advanced)
                    .threads(random.nextInt(1, 3));
            troubled.write(random);
            if (random.nextInt(4) == 0) {
                troubled.tracker().invalidate("so that the next capture must compare");
            }
            Ballast ballast = new Ballast(Misuse.oneOf(Point.values(), random),
                    random.nextInt(3) == 0 ? 0 : random.nextInt(1 << random.nextInt(5, 14)));
            troubled.expect(ballast);
            troubled.take(id, plan);
            troubled.requireSound(store, random);
            troubled.requireCapturable(store, random);
            troubled.requireCapturable(store, random);
            troubled.forget(store);
        }
    }

    /** All of the heap that was left. It allocates nothing to let go of it. */
    private static final class Ballast implements Trouble {
        private static final int LARGEST = 1 << 18;

        private final Point point;
        private final int sparedBytes;
        private boolean paused;
        private boolean filled;
        private Object[] chain;

        Ballast(Point point, int sparedBytes) {
            this.point = point;
            this.sparedBytes = sparedBytes;
        }

        @Override
        public synchronized void at(Point here) {
            if (here == Point.RESUME) {
                paused = false;
                chain = null;
                return;
            }
            paused |= here == Point.PAUSE;
            if (paused && here == point && !filled) {
                filled = true;
                fill();
            }
        }

        private void fill() {
            byte[] spared = new byte[sparedBytes];
            try {
                fillTheRest();
            } finally {
                Reference.reachabilityFence(spared);
            }
        }

        private void fillTheRest() {
            int length = LARGEST;
            while (length > 0) {
                try {
                    Object[] next = new Object[length];
                    next[0] = chain;
                    chain = next;
                } catch (OutOfMemoryError full) {
                    length >>= 3;
                }
            }
        }
    }
}
