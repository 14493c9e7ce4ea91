package io.microsnap.memory.misuse;

import io.microsnap.core.GuestLayout;
import io.microsnap.core.GuestMemory;
import io.microsnap.core.HugePages;
import io.microsnap.core.PausableMachine;
import io.microsnap.core.SnapshotId;
import io.microsnap.core.internal.file.GuestRam;
import io.microsnap.core.internal.file.Pages;
import io.microsnap.core.internal.posix.Posix;
import io.microsnap.dirty.DirtyTracker;
import io.microsnap.memory.Capture;
import io.microsnap.memory.InMemoryPageReader;
import io.microsnap.memory.PreparedCapture;
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

/**
 * Closes memory, its holds, trackers and captures in any order, and again, while a guest goes on writing by address and
 * memory for a sibling is mapped. The guest may never write into the sibling.
 */
final class ClosedInAnyOrder implements Misuse {
    @Override
    public void round(SnapshotStore store, InMemoryPageReader guest, SplittableRandom random) throws Exception {
        RestoredSnapshot restored = Restore.of(store, DIFF).mostMappings(random.nextInt(200))
                .restore(RestoreEngine.LAZY);
        MemorySegment memory = restored.memory().mapping(0);
        require(memory.mismatch(guest.bytes()) < 0, "the restored memory has other bytes");
        GuestMemory.Hold hold = restored.memory().hold();
        List<AutoCloseable> open = new ArrayList<>(List.of(restored, hold));
        DirtyTracker tracker = restored.tracker();
        open.add(tracker);
        PreparedCapture prepared = Capture.of(store, new SnapshotId("never"), restored.reader()).tracker(tracker)
                .prepare();
        open.add(prepared);
        if (random.nextBoolean()) {
            open.add(prepared.capture(PausableMachine.pausedAlready(List.of())));
        }
        while (!open.isEmpty()) {
            AutoCloseable next = open.remove(random.nextInt(open.size()));
            next.close();
            if (random.nextInt(4) == 0) {
                next.close();
            }
            if (open.contains(hold)) {
                writeAsGuest(memory, random);
            }
        }
        require(store.list().size() == 2, "something was published: " + store.list());
    }

    private static void require(boolean holds, String otherwise) {
        Misuse.require(holds, otherwise);
    }

    /** What a vCPU does: it knows addresses, and nothing of what is closed. */
    @SuppressWarnings("restricted")
    private static void writeAsGuest(MemorySegment memory, SplittableRandom random) throws IOException {
        MemorySegment guests = MemorySegment.ofAddress(memory.address()).reinterpret(memory.byteSize());
        try (GuestRam sibling = GuestRam.anonymous(Posix.host(),
                GuestLayout.ofSingleRegion(4096, memory.byteSize()), HugePages.NONE)) {
            for (int write = 0; write < 10; write++) {
                guests.set(ValueLayout.JAVA_LONG_UNALIGNED, random.nextLong(memory.byteSize() - Long.BYTES), -1);
            }
            require(Pages.isZero(sibling.mapping(0), 0, memory.byteSize()), "the guest wrote into its sibling");
        }
    }
}
