package io.microsnap.memory.misuse;

import io.microsnap.core.SnapshotId;
import io.microsnap.dirty.Epoch;
import io.microsnap.memory.Capture;
import io.microsnap.memory.CaptureKind;
import io.microsnap.memory.InMemoryPageReader;
import io.microsnap.memory.PreparedCapture;
import io.microsnap.store.SnapshotStore;
import java.io.IOException;
import java.util.ArrayList;
import java.util.List;
import java.util.SplittableRandom;

/** Prepares, captures, publishes, closes, harvests, abandons and deletes in any order, and again. */
final class CapturesInAnyOrder implements Misuse {
    @Override
    public void round(SnapshotStore store, InMemoryPageReader guest, SplittableRandom random) throws Exception {
        new Caller(random, () -> {
            try (TroubledGuest troubled = new TroubledGuest(random)) {
                User user = new User(store, troubled, random);
                for (int steps = random.nextInt(5, 40); steps > 0; steps--) {
                    user.step();
                }
                user.closeAll();
                troubled.requireSound(store, random);
                troubled.requireCapturable(store, random);
                troubled.requireCapturable(store, random);
                troubled.forget(store);
            }
        }).start().join();
    }

    private record Prepared(SnapshotId id, PreparedCapture capture) {
    }

    /** Has many things at hand, those that are over too, and does not keep account of them. */
    private static final class User {
        private final SnapshotStore store;
        private final TroubledGuest guest;
        private final SplittableRandom random;
        private final List<Prepared> prepared = new ArrayList<>();
        private final List<TroubledGuest.Captured> captured = new ArrayList<>();
        private final List<Epoch> epochs = new ArrayList<>();

        User(SnapshotStore store, TroubledGuest guest, SplittableRandom random) {
            this.store = store;
            this.guest = guest;
            this.random = random;
        }

        void step() {
            try {
                switch (random.nextInt(13)) {
                    case 0, 1 -> prepare();
                    case 2, 3 -> capture();
                    case 4, 5 -> publish();
                    case 6 -> any(prepared).capture.close();
                    case 7 -> any(captured).snapshot().close();
                    case 8 -> abandonOrInvalidate();
                    case 9 -> epochs.add(guest.tracker().harvest());
                    case 10 -> any(epochs).rollback();
                    case 11 -> guest.deleteAny(store, random);
                    default -> guest.write(random);
                }
            } catch (IOException | IllegalStateException told) {
                // As it should be where the order was wrong; what came of it is looked at in the end.
            }
        }

        void closeAll() throws IOException {
            List<AutoCloseable> all = new ArrayList<>(epochs);
            prepared.forEach(one -> all.add(one.capture));
            captured.forEach(one -> all.add(one.snapshot()));
            while (!all.isEmpty()) {
                try {
                    all.remove(random.nextInt(all.size())).close();
                } catch (Exception failure) {
                    throw new IOException("closing failed", failure);
                }
            }
        }

        private void prepare() throws IOException {
            SnapshotId id = guest.nextId();
            List<CaptureKind> kinds = List.of(CaptureKind.values());
            Capture plan = Capture.of(store, id, guest).kind(kinds.get(random.nextInt(kinds.size())))
                    .threads(random.nextInt(1, 3));
            if (random.nextInt(5) > 0) {
                plan.tracker(guest.tracker());
            }
            prepared.add(new Prepared(id, plan.prepare()));
        }

        private void capture() throws IOException {
            Prepared one = any(prepared);
            captured.add(guest.capture(one.id, one.capture));
        }

        private void publish() throws IOException {
            TroubledGuest.Captured one = any(captured);
            one.snapshot().publish();
            guest.publish(one.id(), one.atPause());
        }

        private void abandonOrInvalidate() throws IOException {
            switch (random.nextInt(3)) {
                case 0 -> guest.tracker().abandonCapture();
                case 1 -> guest.tracker().invalidate("a user said so");
                default -> guest.tracker().arm();
            }
        }

        /** Most often the latest. */
        private <T> T any(List<T> things) {
            if (things.isEmpty()) {
                throw new IllegalStateException("there is none");
            }
            return random.nextInt(3) > 0 ? things.getLast() : things.get(random.nextInt(things.size()));
        }
    }
}
