package io.microsnap.memory;

import io.microsnap.core.GuestLayout;
import io.microsnap.core.HugePages;
import io.microsnap.core.PausableMachine;
import io.microsnap.core.SnapshotId;
import io.microsnap.core.internal.file.GuestRam;
import io.microsnap.core.internal.posix.Posix;
import io.microsnap.dirty.DirtySource;
import io.microsnap.dirty.DirtyTracker;
import io.microsnap.memory.misuse.ProcessLimits;
import io.microsnap.store.StoreOptions;
import io.microsnap.store.internal.DirectoryStore;
import java.io.IOException;
import java.lang.foreign.ValueLayout;
import java.nio.file.Path;
import java.util.List;

/**
 * Restores and captures guests one after another in a JVM that never collects garbage, and prints by how much the
 * memory off the heap has grown. Arguments: a directory and how many guests.
 */
final class ManyLives {
    private static final GuestLayout LAYOUT = GuestLayout.ofSingleRegion(4096, 8 << 20);
    private static final PausableMachine PAUSED = PausableMachine.pausedAlready(List.of());
    private static final SnapshotId BASE = new SnapshotId("base");

    private ManyLives() {
    }

    public static void main(String[] arguments) throws IOException {
        int lives = Integer.parseInt(arguments[1]);
        try (DirectoryStore store = DirectoryStore.openOrCreate(
                Posix.host(), Path.of(arguments[0], "store"), StoreOptions.PRIVATE)) {
            try (GuestRam ram = GuestRam.anonymous(Posix.host(), LAYOUT, HugePages.NONE)) {
                ram.mapping(0).fill((byte) 1);
                Capture.of(store, BASE, ram.reader()).take(PAUSED);
            }
            live(store);
            long before = ProcessLimits.offHeapBytes();
            for (int life = 0; life < lives; life++) {
                live(store);
            }
            System.out.println("grown " + (ProcessLimits.offHeapBytes() - before));
        }
    }

    private static void live(DirectoryStore store) throws IOException {
        SnapshotId id = new SnapshotId("life");
        SnapshotId next = new SnapshotId("next");
        try (RestoredSnapshot restored = Restore.of(store, BASE).verified().restore(RestoreEngine.LAZY);
                DirtyTracker tracker = restored.tracker(DirtySource.ofPageMap(restored.memory()))) {
            for (long page = 0; page < 100; page++) {
                restored.memory().mapping(0).set(ValueLayout.JAVA_LONG, page * 4096, page);
            }
            Capture.of(store, id, restored.reader()).kind(CaptureKind.DIFF).base(BASE).take(PAUSED);
            tracker.invalidate("the next capture compares");
            store.delete(id);
            Capture.of(store, id, restored.reader()).tracker(tracker).kind(CaptureKind.DIFF).take(PAUSED);
        }
        try (RestoredSnapshot restored = Restore.of(store, id).mostMappings(0).restore(RestoreEngine.LAZY);
                DirtyTracker tracker = restored.tracker()) {
            restored.memory().mapping(0).set(ValueLayout.JAVA_LONG, 0, 4711);
            Capture.of(store, next, restored.reader()).tracker(tracker).kind(CaptureKind.DIFF).take(PAUSED);
        }
        store.delete(next);
        store.delete(id);
    }
}
