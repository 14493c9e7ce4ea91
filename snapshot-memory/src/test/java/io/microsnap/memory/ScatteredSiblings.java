package io.microsnap.memory;

import io.microsnap.core.GuestLayout;
import io.microsnap.core.PausableMachine;
import io.microsnap.core.SnapshotId;
import io.microsnap.core.internal.posix.Constants;
import io.microsnap.core.internal.posix.Posix;
import io.microsnap.dirty.DirtyTracker;
import io.microsnap.memory.misuse.ProcessLimits;
import io.microsnap.store.StoreOptions;
import io.microsnap.store.internal.DirectoryStore;
import java.io.IOException;
import java.lang.foreign.MemorySegment;
import java.lang.foreign.ValueLayout;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.List;

/**
 * Restores many siblings of one scattered diff in a process of its own, lazily and at the same time, looks at each, and
 * captures what some of them wrote. Arguments: a directory, how many runs of one page the diff has, how many siblings,
 * and how many mappings the process may make before it meets the limit; all of them, if that is negative.
 */
final class ScatteredSiblings {
    private static final int PAGE = 4096;
    private static final int PAGES_A_RUN = 5;
    private static final SnapshotId DIFF = new SnapshotId("diff");
    private static final PausableMachine PAUSED = PausableMachine.pausedAlready(List.of());

    private ScatteredSiblings() {
    }

    public static void main(String[] arguments) throws IOException {
        int runs = Integer.parseInt(arguments[1]);
        int siblings = Integer.parseInt(arguments[2]);
        long spare = Long.parseLong(arguments[3]);
        InMemoryPageReader guest = InMemoryPageReader.of(
                GuestLayout.ofSingleRegion(PAGE, (long) runs * PAGES_A_RUN * PAGE));
        try (DirectoryStore store = DirectoryStore.openOrCreate(
                Posix.host(), Path.of(arguments[0], "store"), StoreOptions.PRIVATE)) {
            bake(store, guest, runs);
            if (spare >= 0) {
                useUpMappings(ProcessLimits.mostMappings() - spare);
            }
            long before = ProcessLimits.mappings();
            List<RestoredSnapshot> restored = new ArrayList<>();
            for (int number = 0; number < siblings; number++) {
                restored.add(Restore.of(store, DIFF).restore(RestoreEngine.LAZY));
                require(ProcessLimits.mostMappings() - ProcessLimits.mappings() > (spare < 0 ? 4000 : spare / 2),
                        "sibling " + number + " took the last mappings");
            }
            System.out.println(siblings + " siblings with " + (ProcessLimits.mappings() - before) + " mappings");
            for (int number = 0; number < siblings; number++) {
                MemorySegment memory = restored.get(number).memory().mapping(0);
                require(memory.mismatch(guest.bytes()) < 0, "sibling " + number + " has other bytes");
                if (number % 10 == 0) {
                    capture(store, restored.get(number), number);
                }
            }
            for (RestoredSnapshot each : restored) {
                each.close();
            }
            long left = ProcessLimits.mappings() - before;
            require(left < 200, "mappings are left: " + left);
        }
        System.out.println("done");
    }

    private static void bake(DirectoryStore store, InMemoryPageReader guest, int runs) throws IOException {
        try (DirtyTracker marks = DirtyTracker.ofMarks(guest.layout())) {
            for (long offset = 0; offset < guest.layout().lengthBytes(); offset += PAGE) {
                guest.bytes().set(ValueLayout.JAVA_LONG, offset, offset + 1);
            }
            Capture.of(store, new SnapshotId("base"), guest).tracker(marks).take(PAUSED);
            for (long run = 0; run < runs; run++) {
                long offset = run * PAGES_A_RUN * PAGE;
                guest.bytes().set(ValueLayout.JAVA_LONG, offset, -run - 1);
                marks.markWritten(offset, PAGE);
            }
            Capture.of(store, DIFF, guest).tracker(marks).kind(CaptureKind.DIFF).take(PAUSED);
        }
    }

    /** Writes a page that the diff has and one that it has not. */
    private static void capture(DirectoryStore store, RestoredSnapshot sibling, int number) throws IOException {
        SnapshotId id = new SnapshotId("sibling-" + number);
        try (DirtyTracker tracker = sibling.tracker()) {
            MemorySegment memory = sibling.memory().mapping(0);
            for (int page = 0; page < 2; page++) {
                memory.set(ValueLayout.JAVA_LONG, (number * PAGES_A_RUN + page) * (long) PAGE, 4711);
            }
            CaptureResult result = Capture.of(store, id, sibling.reader()).tracker(tracker).kind(CaptureKind.DIFF)
                    .take(PAUSED);
            require(result.memory().pagesOffered() == 2, result.memory().pagesOffered() + " pages were offered");
            try (RestoredSnapshot again = Restore.of(store, id).restore(RestoreEngine.LAZY)) {
                require(again.memory().mapping(0).mismatch(memory) < 0, id + " has other bytes");
            }
        }
    }

    /** Neighbours of different protection are mappings of their own. */
    private static void useUpMappings(long wanted) throws IOException {
        Posix posix = Posix.host();
        Constants constants = posix.constants();
        long page = posix.getpagesize();
        long pieces = wanted - ProcessLimits.mappings();
        long start = posix.mmap(0, pieces * page, constants.PROT_NONE,
                constants.MAP_PRIVATE | constants.MAP_ANONYMOUS | constants.MAP_NORESERVE, -1, 0);
        for (long piece = 1; piece < pieces; piece += 2) {
            require(posix.mprotect(start + piece * page, page, constants.PROT_READ) == 0, "mprotect failed");
        }
    }

    private static void require(boolean holds, String otherwise) {
        if (!holds) {
            throw new AssertionError(otherwise);
        }
    }
}
