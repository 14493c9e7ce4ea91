package io.microsnap.memory.misuse;

import io.microsnap.core.BusyException;
import io.microsnap.core.SnapshotId;
import io.microsnap.memory.Capture;
import io.microsnap.memory.InMemoryPageReader;
import io.microsnap.store.SnapshotStore;
import java.util.SplittableRandom;
import java.util.concurrent.CountDownLatch;
import java.util.concurrent.atomic.AtomicBoolean;

/** Captures one machine in two threads while it runs, with one tracker for both, or with none. */
final class TwoCapturers implements Misuse {
    @Override
    public void round(SnapshotStore store, InMemoryPageReader guest, SplittableRandom random) throws Exception {
        try (TroubledGuest troubled = new TroubledGuest(random)) {
            troubled.requireCapturable(store, random);
            // Whichever pauses first stays there until the other one waits for it or was refused.
            boolean tracked = random.nextBoolean();
            CountDownLatch bothAreThere = new CountDownLatch(2);
            Caller first = capturer(troubled, store, random, tracked, bothAreThere);
            Caller second = capturer(troubled, store, random, tracked, bothAreThere);
            Thread[] threads = {first.thread(), second.thread()};
            troubled.expect(point -> {
                if (point == Point.SAVE_STATE) {
                    bothAreThere.await();
                    Thread other = threads[Thread.currentThread() == threads[0] ? 1 : 0];
                    // It waits for this one, or was refused, or is paused as well, which is noted as a breach.
                    while (other.getState() == Thread.State.RUNNABLE && other.isAlive()) {
                        Thread.onSpinWait();
                    }
                }
            });
            AtomicBoolean ends = new AtomicBoolean();
            SplittableRandom writes = random.split();
            Caller running = new Caller(random, () -> {
                while (!ends.get()) {
                    troubled.write(writes);
                    Thread.onSpinWait();
                }
            }).start();
            first.start();
            second.start();
            try {
                first.join();
                second.join();
            } finally {
                ends.set(true);
                running.join();
            }
            troubled.requireSound(store, random);
            troubled.requireCapturable(store, random);
            troubled.forget(store);
        }
    }

    private static Caller capturer(TroubledGuest guest, SnapshotStore store, SplittableRandom random, boolean tracked,
            CountDownLatch bothAreThere) {
        SnapshotId id = guest.nextId();
        Capture plan = Capture.of(store, id, guest);
        if (tracked) {
            plan.tracker(guest.tracker());
        }
        return new Caller(random, () -> captures(guest, id, plan, tracked, bothAreThere));
    }

    private static void captures(TroubledGuest guest, SnapshotId id, Capture plan, boolean tracked,
            CountDownLatch bothAreThere) {
        bothAreThere.countDown();
        TroubledGuest.Outcome outcome = guest.take(id, plan);
        if (outcome.failure().isPresent()) {
            Throwable failure = outcome.failure().get();
            if (!tracked || !(failure instanceof BusyException)
                    || !failure.getMessage().contains("an earlier capture of this guest")) {
                throw new AssertionError("the second capture was not refused as such", failure);
            }
            Misuse.require(!outcome.paused(), "a capture that was refused had paused the machine");
        }
    }
}
