package io.microsnap.memory.misuse;

import io.microsnap.core.SnapshotId;
import io.microsnap.memory.Capture;
import io.microsnap.memory.InMemoryPageReader;
import io.microsnap.store.SnapshotStore;
import java.io.IOException;
import java.util.SplittableRandom;

/** Interrupts the thread that captures: before it does, in a call, or at any moment. */
final class Interrupted implements Misuse {
    @Override
    public void round(SnapshotStore store, InMemoryPageReader guest, SplittableRandom random) throws Exception {
        try (TroubledGuest troubled = new TroubledGuest(random)) {
            troubled.requireCapturable(store, random);
            for (int attempt = random.nextInt(1, 4); attempt > 0; attempt--) {
                Point point = Misuse.oneOf(Point.values(), random);
                boolean inCall = random.nextBoolean();
                boolean before = !inCall && random.nextBoolean();
                troubled.expect(here -> {
                    if (inCall && here == point) {
                        Thread.currentThread().interrupt();
                    }
                });
                SplittableRandom inside = random.split();
                Caller caller = new Caller(random, () -> captures(troubled, store, inside, before));
                caller.start();
                if (!inCall && !before) {
                    for (int spins = random.nextInt(300_000); spins > 0; spins--) {
                        Thread.onSpinWait();
                    }
                    caller.thread().interrupt();
                }
                caller.join();
                troubled.requireSound(store, random);
            }
            troubled.requireCapturable(store, random);
            troubled.forget(store);
        }
    }

    private static void captures(TroubledGuest guest, SnapshotStore store, SplittableRandom random, boolean before)
            throws IOException {
        guest.write(random);
        SnapshotId id = guest.nextId();
        Capture plan = Capture.of(store, id, guest).tracker(guest.tracker()).progress(guest::advanced)
                .threads(random.nextInt(1, 4));
        if (before) {
            Thread.currentThread().interrupt();
        }
        guest.take(id, plan);
        Misuse.require(!before || Thread.interrupted(), "the capture swallowed the interrupt");
    }
}
