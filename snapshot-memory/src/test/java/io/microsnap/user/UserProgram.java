package io.microsnap.user;

import io.microsnap.core.GuestLayout;
import io.microsnap.core.GuestMemory;
import io.microsnap.core.HugePages;
import io.microsnap.core.MachineStateSection;
import io.microsnap.core.PausableMachine;
import io.microsnap.core.SnapshotId;
import io.microsnap.dirty.DirtyTracker;
import io.microsnap.memory.Capture;
import io.microsnap.memory.Restore;
import io.microsnap.memory.RestoreEngine;
import io.microsnap.memory.RestoredSnapshot;
import io.microsnap.store.SnapshotStore;
import io.microsnap.store.StoreOptions;
import java.lang.foreign.ValueLayout;
import java.nio.ByteBuffer;
import java.nio.file.Path;
import java.util.List;

/** What a user's program does, from a package of its own: bakes twice with state, and restores. */
public final class UserProgram {
    private static final int PAGE = 4096;

    private UserProgram() {
    }

    /** Prints what it restored. */
    public static void main(String[] arguments) throws Exception {
        GuestLayout layout = GuestLayout.ofSingleRegion(PAGE, 64 * PAGE);
        try (GuestMemory ram = GuestMemory.anonymous(layout, HugePages.NONE)) {
            System.out.println("the machine is there");
            bakeAndRestore(ram, Path.of(arguments[0]));
        }
    }

    private static void bakeAndRestore(GuestMemory ram, Path path) throws Exception {
        PausableMachine machine = PausableMachine.pausedAlready(
                List.of(new MachineStateSection("clock", ByteBuffer.wrap(new byte[] {42}))));
        try (DirtyTracker tracker = DirtyTracker.ofMarks(ram.layout());
                SnapshotStore store = SnapshotStore.openOrCreate(path, StoreOptions.PRIVATE)) {
            for (String name : List.of("first", "second")) {
                ram.mapping(0).set(ValueLayout.JAVA_BYTE, 3 * PAGE, (byte) name.length());
                tracker.markWritten(3 * PAGE, 1);
                Capture.of(store, new SnapshotId(name), ram.reader()).tracker(tracker)
                        .imageName("debian").take(machine);
            }
            try (RestoredSnapshot restored = Restore.of(store, new SnapshotId("second")).verified()
                    .restore(RestoreEngine.LAZY);
                    DirtyTracker again = restored.tracker()) {
                System.out.println("restored " + restored.memory().mapping(0).get(ValueLayout.JAVA_BYTE, 3 * PAGE)
                        + ", state " + restored.machineState().getFirst().payload().get()
                        + ", " + again.harvest().bitmap());
            }
        }
    }
}
