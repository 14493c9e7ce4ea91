package io.microsnap.memory.misuse;

import io.microsnap.core.SnapshotId;
import io.microsnap.memory.Capture;
import io.microsnap.memory.InMemoryPageReader;
import io.microsnap.memory.Restore;
import io.microsnap.memory.RestoreEngine;
import io.microsnap.memory.RestoredSnapshot;
import io.microsnap.store.SnapshotStore;
import java.io.IOException;
import java.util.Optional;
import java.util.SplittableRandom;
import java.util.concurrent.atomic.AtomicReference;

/** Throws whatever can be thrown out of every call that the library makes to its user, declared or not. */
final class ThrownFromEveryCall implements Misuse {
    /** What is thrown here ends the capture. A source that fails need not: the capture does without it. */
    private static boolean endsCapture(Point point) {
        return switch (point) {
            case PAUSE, SAVE_STATE, RESUME, PROGRESS, MAPPED, VIEW, POPULATED, READ -> true;
            case ARM, HARVEST, LEARN, DISARM, CLOSE -> false;
        };
    }

    @Override
    public void round(SnapshotStore store, InMemoryPageReader guest, SplittableRandom random) throws Exception {
        new Caller(random, () -> {
            captures(store, random);
            restores(store, random);
        }).start().join();
    }

    private static void captures(SnapshotStore store, SplittableRandom random) throws IOException {
        TroubledGuest guest = new TroubledGuest(random);
        try {
            if (random.nextInt(4) > 0) {
                guest.requireCapturable(store, random);
            }
            for (int attempt = random.nextInt(1, 4); attempt > 0; attempt--) {
                Throwing throwing = new Throwing(random);
                guest.expect(throwing);
                guest.write(random);
                SnapshotId id = guest.nextId();
                Capture plan = Capture.of(store, id, guest).tracker(guest.tracker()).progress(guest::advanced)
                        .threads(random.nextInt(1, 4));
                Optional<Throwable> failure = guest.take(id, random.nextInt(4) == 0 ? plan.checked() : plan)
                        .failure();
                if (throwing.thrown && endsCapture(throwing.point)) {
                    Misuse.require(failure.isPresent(), "what " + throwing.point + " threw was swallowed");
                    requireCarried(throwing.what, failure.get());
                }
                guest.requireSound(store, random);
            }
            guest.requireCapturable(store, random);
            guest.requireCapturable(store, random);
            guest.forget(store);
            guest.expect(random.nextBoolean() ? new Throwing(random, Point.CLOSE) : Trouble.NONE);
        } finally {
            closed(guest);
        }
    }

    private static void closed(TroubledGuest guest) {
        try {
            guest.close();
        } catch (IOException | RuntimeException | Error told) {
            // The source threw it.
        }
    }

    private static void restores(SnapshotStore store, SplittableRandom random) throws IOException {
        Throwable what = Throwing.anything(random);
        boolean fromRenewal = random.nextBoolean();
        AtomicReference<RestoredSnapshot> leaked = new AtomicReference<>();
        Restore restore = Restore.of(store, DIFF).verified();
        if (fromRenewal) {
            restore.renewing(restored -> {
                leaked.set(restored);
                Throwing.<RuntimeException>sneak(what);
            });
        } else {
            restore.progress((done, total) -> {
                Throwing.<RuntimeException>sneak(what);
            });
        }
        try {
            RestoredSnapshot restored = switch (random.nextInt(3)) {
                case 0 -> restore.restore(RestoreEngine.LAZY);
                case 1 -> restore.restore(RestoreEngine.EAGER);
                default -> restore.restore(RestoreEngine.MEMFD);
            };
            restored.close();
            throw new AssertionError("what was thrown was swallowed");
        } catch (Throwable thrown) {
            requireCarried(what, thrown);
        }
        Misuse.require(!store.isHeld(DIFF), "a restore that failed holds its snapshot");
        if (fromRenewal) {
            try {
                leaked.get().memory().hold();
                throw new AssertionError("the memory of a restore that failed can be held");
            } catch (IllegalStateException closed) {
                // As it should be.
            }
        }
    }

    private static void requireCarried(Throwable what, Throwable failure) {
        for (Throwable next = failure; next != null; next = next.getCause()) {
            if (next == what) {
                return;
            }
        }
        throw new AssertionError("something else was thrown than " + what.getClass(), failure);
    }
}
