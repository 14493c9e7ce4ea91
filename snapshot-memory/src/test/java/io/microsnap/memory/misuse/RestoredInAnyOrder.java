package io.microsnap.memory.misuse;

import io.microsnap.core.PausableMachine;
import io.microsnap.core.SnapshotId;
import io.microsnap.dirty.DirtyTracker;
import io.microsnap.memory.Capture;
import io.microsnap.memory.InMemoryPageReader;
import io.microsnap.memory.Restore;
import io.microsnap.memory.RestoreEngine;
import io.microsnap.memory.RestoredSnapshot;
import io.microsnap.store.SnapshotStore;
import java.io.IOException;
import java.lang.foreign.Arena;
import java.lang.foreign.MemorySegment;
import java.lang.foreign.ValueLayout;
import java.util.ArrayList;
import java.util.List;
import java.util.SplittableRandom;

/** Uses restored snapshots in any order: several trackers for one, marks, captures, closing, all of it again after. */
final class RestoredInAnyOrder implements Misuse {
    private static final SnapshotId NEXT = new SnapshotId("restored-in-any-order");

    @Override
    public void round(SnapshotStore store, InMemoryPageReader guest, SplittableRandom random) throws Exception {
        new Caller(random, () -> {
            try (Arena arena = Arena.ofConfined()) {
                MemorySegment expected = arena.allocate(guest.layout().lengthBytes());
                User user = new User(store, expected.copyFrom(guest.bytes()), random);
                for (int steps = random.nextInt(5, 30); steps > 0; steps--) {
                    user.step();
                }
                user.closeAll();
                Misuse.require(!store.isHeld(DIFF), "what is closed holds its snapshot");
            }
        }).start().join();
    }

    private static final class User {
        private static final int PAGE = 4096;

        private final SnapshotStore store;
        private final MemorySegment expected;
        private final SplittableRandom random;
        private final RestoredSnapshot restored;
        private final List<DirtyTracker> trackers = new ArrayList<>();
        private boolean closed;

        User(SnapshotStore store, MemorySegment expected, SplittableRandom random) throws IOException {
            this.store = store;
            this.expected = expected;
            this.random = random;
            restored = Restore.of(store, DIFF).mostMappings(random.nextInt(100)).restore(RestoreEngine.LAZY);
        }

        void step() throws IOException {
            try {
                switch (random.nextInt(12)) {
                    case 0, 1 -> trackers.add(restored.tracker());
                    case 2, 3, 4 -> write();
                    case 5 -> restored.markWritten(random.nextLong(expected.byteSize() / PAGE) * PAGE, PAGE);
                    case 6 -> restored.machineState();
                    case 7 -> restored.attachment("none").close();
                    case 8 -> any().close();
                    case 9 -> closeRestored();
                    case 10 -> any().harvest().close();
                    default -> capture();
                }
            } catch (IOException | IllegalStateException told) {
                // As it should be where the order was wrong; what was published is compared.
            }
        }

        void closeAll() throws IOException {
            for (DirtyTracker tracker : trackers) {
                tracker.close();
            }
            restored.close();
        }

        private void closeRestored() throws IOException {
            // Seldom, for little can be done after.
            if (random.nextInt(3) == 0) {
                closed = true;
                restored.close();
            }
        }

        private void write() {
            long offset = random.nextLong(expected.byteSize() / PAGE) * PAGE;
            long value = random.nextLong();
            restored.memory().mapping(0).set(ValueLayout.JAVA_LONG, offset, value);
            Misuse.require(!closed, "memory that is closed can be written");
            expected.set(ValueLayout.JAVA_LONG, offset, value);
        }

        private void capture() throws IOException {
            DirtyTracker tracker = any();
            Capture.of(store, NEXT, restored.reader()).tracker(tracker).take(
                    PausableMachine.pausedAlready(List.of()));
            Misuse.require(!closed, "memory that is closed was captured");
            try (RestoredSnapshot next = Restore.of(store, NEXT).restore(RestoreEngine.LAZY)) {
                long differs = next.memory().mapping(0).mismatch(expected);
                Misuse.require(differs < 0, "the snapshot has other bytes than its guest, from " + differs);
            }
            // The tracker's next capture has no base any more, and must be full.
            store.delete(NEXT);
        }

        private DirtyTracker any() {
            if (trackers.isEmpty()) {
                throw new IllegalStateException("there is none");
            }
            return trackers.get(random.nextInt(trackers.size()));
        }
    }
}
