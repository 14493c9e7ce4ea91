package io.microsnap.memory;

import static org.assertj.core.api.Assertions.assertThat;

import io.microsnap.core.GuestLayout;
import io.microsnap.core.PausableMachine;
import io.microsnap.core.SnapshotId;
import io.microsnap.core.internal.posix.Posix;
import io.microsnap.dirty.DirtyTracker;
import io.microsnap.store.StoreOptions;
import io.microsnap.store.internal.DirectoryStore;
import io.microsnap.testsupport.ChildProcess;
import io.microsnap.testsupport.ChildProcesses;
import io.microsnap.testsupport.Effort;
import java.io.IOException;
import java.lang.foreign.MemorySegment;
import java.lang.foreign.ValueLayout;
import java.nio.file.Path;
import java.util.List;
import org.junit.jupiter.api.AfterEach;
import org.junit.jupiter.api.BeforeEach;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.condition.EnabledOnOs;
import org.junit.jupiter.api.condition.OS;
import org.junit.jupiter.api.io.TempDir;

/** Many machines from one diff share the process's mappings; pages read in instead are not taken for written. */
@EnabledOnOs(value = OS.LINUX, disabledReason = "elsewhere neither mappings are limited nor written pages told")
final class FanOutTest {
    private static final int PAGE = 4096;
    private static final GuestLayout LAYOUT = GuestLayout.ofSingleRegion(PAGE, 64 * PAGE);
    private static final SnapshotId DIFF = new SnapshotId("diff");
    private static final PausableMachine PAUSED = PausableMachine.pausedAlready(List.of());
    /** Mapped, they take 12,100 mappings: what one restore may have, and six of them may not. */
    private static final int RUNS = 6_050;

    @TempDir
    private Path directory;
    private DirectoryStore store;

    @BeforeEach
    void aDiffOfScatteredPages() throws IOException {
        store = DirectoryStore.openOrCreate(Posix.host(), directory.resolve("small"), StoreOptions.PRIVATE);
        InMemoryPageReader guest = InMemoryPageReader.of(LAYOUT);
        try (DirtyTracker marks = DirtyTracker.ofMarks(LAYOUT)) {
            guest.bytes().fill((byte) 1);
            Capture.of(store, new SnapshotId("base"), guest).tracker(marks).take(PAUSED);
            for (int page = 3; page < 64; page += 6) {
                guest.bytes().asSlice((long) page * PAGE, PAGE).fill((byte) page);
                marks.markWritten((long) page * PAGE, PAGE);
            }
            Capture.of(store, DIFF, guest).tracker(marks).kind(CaptureKind.DIFF).take(PAUSED);
        }
    }

    @AfterEach
    void closeStore() throws IOException {
        store.close();
    }

    @Test
    void aHundredSiblingsOfAScatteredDiffLiveInOneProcess(ChildProcesses children) {
        run(children, Effort.choose(RUNS / 20, RUNS / 10, RUNS), 100, -1);
    }

    @Test
    void eightSiblingsOfADiffOfWhichEachAloneFitsDoNotKillTheProcess(ChildProcesses children) {
        run(children, RUNS, 8, -1);
    }

    @Test
    void siblingsAreRestoredWhenTheProcessHasNearlyUsedUpItsMappings(ChildProcesses children) {
        run(children, RUNS / 5, 20, 600);
    }

    private void run(ChildProcesses children, int runs, int siblings, long spare) {
        ChildProcess.Exit exit = children.java(ScatteredSiblings.class, directory.toString(),
                Integer.toString(runs), Integer.toString(siblings), Long.toString(spare)).awaitExit();
        assertThat(exit.status()).as(exit.output() + exit.errors()).isZero();
        assertThat(exit.output()).contains("done");
    }

    @Test
    void pagesReadInForWantOfMappingsAreOnlyNamedWhereTheyDiffer() throws IOException {
        try (RestoredSnapshot copy = Restore.of(store, DIFF).mostMappings(0).restore(RestoreEngine.LAZY);
                DirtyTracker own = copy.tracker()) {
            write(copy, 3, 99);
            write(copy, 4, 99);
            assertThat(capture(copy, own, "first").memory().pagesOffered()).isEqualTo(2);
            assertIsCaptured(copy, "first");
        }
        try (RestoredSnapshot copy = Restore.of(store, DIFF).mostMappings(0).renewing(renewed ->
                write(renewed, 9, 99))
                        .restore(RestoreEngine.LAZY); DirtyTracker others = copy.tracker(new SeesNothing(LAYOUT))) {
            assertThat(capture(copy, others, "renewed").memory().pagesOffered()).isEqualTo(1);
            assertIsCaptured(copy, "renewed");
        }
    }

    @Test
    void aPageThatGetsTheImagesBytesAgainIsAChangeAgain() throws IOException {
        try (RestoredSnapshot copy = Restore.of(store, DIFF).mostMappings(0).restore(RestoreEngine.LAZY);
                DirtyTracker own = copy.tracker()) {
            write(copy, 3, 99);
            capture(copy, own, "changed");
            write(copy, 3, 3);
            capture(copy, own, "back");
            assertIsCaptured(copy, "back");
        }
    }

    @Test
    void afterAnEpochThatWasMissedNoPageIsComparedAnyMore() throws IOException {
        try (RestoredSnapshot copy = Restore.of(store, DIFF).mostMappings(0).restore(RestoreEngine.LAZY);
                DirtyTracker own = copy.tracker()) {
            write(copy, 9, 99);
            try (PreparedCapture missed = Capture.of(store, new SnapshotId("missed"), copy.reader()).tracker(own)
                    .kind(CaptureKind.DIFF).prepare()) {
                // Nothing is harvested from a tracker that was told so late.
                own.invalidate("a vCPU ran unwatched");
                try (CapturedSnapshot captured = missed.capture(PAUSED)) {
                    captured.publish();
                }
            }
            write(copy, 9, 9);
            capture(copy, own, "back");
            assertIsCaptured(copy, "back");
        }
    }

    private CaptureResult capture(RestoredSnapshot copy, DirtyTracker tracker, String id) throws IOException {
        return Capture.of(store, new SnapshotId(id), copy.reader()).tracker(tracker).kind(CaptureKind.DIFF)
                .take(PAUSED);
    }

    private void assertIsCaptured(RestoredSnapshot copy, String id) throws IOException {
        try (RestoredSnapshot again = Restore.of(store, new SnapshotId(id)).verified().restore(RestoreEngine.LAZY)) {
            MemorySegment expected = copy.memory().mapping(0);
            assertThat(again.memory().mapping(0).mismatch(expected)).isEqualTo(-1);
        }
    }

    private static void write(RestoredSnapshot copy, int page, int value) {
        MemorySegment memory = copy.memory().mapping(0);
        for (long at = 0; at < PAGE; at++) {
            memory.set(ValueLayout.JAVA_BYTE, (long) page * PAGE + at, (byte) value);
        }
    }
}
