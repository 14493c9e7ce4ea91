package io.microsnap.memory.misuse;

import io.microsnap.core.MachineStateSection;
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
import java.lang.foreign.MemorySegment;
import java.lang.foreign.ValueLayout;
import java.util.ArrayList;
import java.util.List;
import java.util.SplittableRandom;
import java.util.concurrent.atomic.AtomicBoolean;

/** Goes on with memory and trackers that were closed, also in a thread that has not heard of it yet. */
final class UsedAfterClose implements Misuse {
    private interface Use {
        void go() throws IOException;
    }

    @Override
    public void round(SnapshotStore store, InMemoryPageReader guest, SplittableRandom random) throws Exception {
        RestoredSnapshot restored = random.nextBoolean()
                ? Restore.of(store, DIFF).mostMappings(random.nextInt(200)).restore(RestoreEngine.LAZY)
                : Restore.of(store, DIFF).restore(RestoreEngine.MEMFD);
        MemorySegment memory = restored.memory().mapping(0);
        DirtyTracker tracker = DirtyTracker.ofMarks(restored.memory().layout());
        AtomicBoolean ends = new AtomicBoolean();
        Thread marks = Thread.ofPlatform().daemon().start(() -> {
            while (!ends.get()) {
                tracker.markWritten(0, memory.byteSize());
                restored.markWritten(0, memory.byteSize());
                Thread.onSpinWait();
            }
        });
        tracker.close();
        restored.close();
        MustNotRun machine = new MustNotRun();
        List<Use> refused = new ArrayList<>(List.of(
                () -> memory.get(ValueLayout.JAVA_BYTE, random.nextLong(memory.byteSize())),
                () -> restored.memory().mapping(0).set(ValueLayout.JAVA_BYTE, 0, (byte) 1),
                () -> restored.memory().hold(),
                () -> restored.memory().requireMapped(),
                () -> restored.reader().read(0, guest.bytes().asSlice(0, 4096)),
                tracker::arm,
                () -> tracker.harvest().close(),
                () -> Capture.of(store, new SnapshotId("never"), restored.reader()).take(machine)));
        while (!refused.isEmpty()) {
            Use use = refused.remove(random.nextInt(refused.size()));
            try {
                use.go();
                throw new AssertionError("use number " + refused.size() + " after closing was not refused");
            } catch (IllegalStateException told) {
                // As it should be.
            }
        }
        ends.set(true);
        marks.join();
        restored.close();
        tracker.close();
    }

    private static final class MustNotRun implements PausableMachine {
        @Override
        public void pause() {
            throw new AssertionError("the machine was paused for memory that is closed");
        }

        @Override
        public List<MachineStateSection> saveState() {
            throw new AssertionError("the machine's state was saved for memory that is closed");
        }

        @Override
        public void resume() {
            throw new AssertionError("the machine was resumed");
        }
    }
}
