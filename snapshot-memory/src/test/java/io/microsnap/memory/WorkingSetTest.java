package io.microsnap.memory;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;

import io.microsnap.core.GuestLayout;
import io.microsnap.core.PausableMachine;
import io.microsnap.core.Progress;
import io.microsnap.core.SnapshotId;
import io.microsnap.core.internal.posix.Errno;
import io.microsnap.core.internal.posix.Posix;
import io.microsnap.core.testing.FaultyPosix;
import io.microsnap.dirty.DirtySource;
import io.microsnap.dirty.DirtyTracker;
import io.microsnap.dirty.Epoch;
import io.microsnap.dirty.TrackingUnavailableException;
import io.microsnap.memory.internal.ahead.PageRuns;
import io.microsnap.memory.internal.ahead.ReadAhead;
import io.microsnap.store.StoreOptions;
import io.microsnap.store.internal.DirectoryStore;
import io.microsnap.store.internal.StoredSnapshot;
import io.microsnap.testsupport.ChildProcess;
import io.microsnap.testsupport.ChildProcesses;
import java.io.IOException;
import java.lang.foreign.ValueLayout;
import java.nio.file.Path;
import java.time.Duration;
import java.util.ArrayList;
import java.util.BitSet;
import java.util.List;
import java.util.concurrent.Callable;
import java.util.concurrent.CompletableFuture;
import java.util.concurrent.CompletionException;
import java.util.concurrent.ExecutorService;
import java.util.concurrent.Executors;
import java.util.concurrent.Future;
import org.junit.jupiter.api.AfterEach;
import org.junit.jupiter.api.BeforeEach;
import org.junit.jupiter.api.Tag;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.condition.EnabledOnOs;
import org.junit.jupiter.api.condition.OS;
import org.junit.jupiter.api.io.TempDir;

@EnabledOnOs(value = OS.LINUX, disabledReason = "elsewhere nothing tells what a guest touches")
final class WorkingSetTest {
    private static final int PAGE = 4096;
    private static final int PAGES = 2_048;
    private static final GuestLayout LAYOUT = GuestLayout.ofSingleRegion(PAGE, (long) PAGES * PAGE);
    private static final SnapshotId ID = new SnapshotId("guest");
    private static final PausableMachine PAUSED = PausableMachine.pausedAlready(List.of());

    @TempDir
    private Path directory;
    private DirectoryStore store;

    @BeforeEach
    void aSnapshot() throws IOException {
        store = DirectoryStore.openOrCreate(Posix.host(), directory.resolve("store"), StoreOptions.PRIVATE);
        InMemoryPageReader guest = InMemoryPageReader.of(LAYOUT);
        for (int page = 0; page < PAGES; page++) {
            guest.bytes().asSlice((long) page * PAGE, PAGE).fill((byte) (page % 100 + 1));
        }
        Capture.of(store, ID, guest).take(PAUSED);
    }

    @AfterEach
    void closeStore() throws IOException {
        store.close();
    }

    @Test
    void whatWasTouchedIsReadAheadByTheNextRestoreAndNothingElse() throws IOException {
        record(store, 5, 6, 7, 900);
        evict();
        try (RestoredSnapshot restored = Restore.of(store, ID).restore(RestoreEngine.LAZY)) {
            assertThat(restored.prefetched().readBytes()).isEqualTo(4 * PAGE);
            assertThat(mapped(restored)).isEqualTo(pages(5, 6, 7, 900));
            assertThat(resident(restored)).isEqualTo(pages(5, 6, 7, 900));
            assertIsTheGuest(restored);
        }
        evict();
        try (RestoredSnapshot restored = Restore.of(store, ID).prefetch(Prefetch.NONE).restore(RestoreEngine.LAZY)) {
            assertThat(restored.prefetched()).isEqualTo(Prefetched.NOTHING);
            assertThat(resident(restored).cardinality()).isZero();
        }
    }

    @Test
    void whatIsRecordedOfAPrefetchedRestoreIsWhatTheGuestTouched() throws IOException {
        record(store, 5, 6, 7, 900);
        evict();
        try (RestoredSnapshot restored = Restore.of(store, ID).recordable().restore(RestoreEngine.LAZY);
                WorkingSetRecording recording = restored.recordWorkingSet()) {
            assertThat(restored.prefetched().readBytes()).isEqualTo(4 * PAGE);
            assertThat(mapped(restored).cardinality()).isZero();
            touch(restored, 6, 1_000);
            recording.save();
        }
        record(store, 6, 1_001);
        // 5, 7, 900 and 1,000 came up once.
        assertThat(set()).isEqualTo(pages(6, 1_001));
    }

    @Test
    void aRecordingThatIsNotSavedChangesNothing() throws IOException {
        record(store, 1);
        try (RestoredSnapshot restored = Restore.of(store, ID).recordable().restore(RestoreEngine.LAZY)) {
            WorkingSetRecording recording = restored.recordWorkingSet();
            touch(restored, 2);
            assertThatThrownBy(restored::recordWorkingSet).isInstanceOf(IllegalStateException.class)
                    .hasMessageContaining("has not ended");
            recording.close();
            assertThatThrownBy(recording::save).isInstanceOf(IllegalStateException.class);
            assertThat(restored.recordWorkingSet()).isNotNull();
        }
        assertThat(set()).isEqualTo(pages(1));
    }

    @Test
    void memoryOfWhichThePageTablesSayNothingIsNotRecorded() throws IOException {
        record(store, 1);
        try (RestoredSnapshot eager = Restore.of(store, ID).restore(RestoreEngine.EAGER)) {
            assertThatThrownBy(eager::recordWorkingSet).isInstanceOf(IllegalStateException.class)
                    .hasMessageContaining("read in");
        }
        try (RestoredSnapshot mapped = Restore.of(store, ID).restore(RestoreEngine.LAZY)) {
            assertThatThrownBy(mapped::recordWorkingSet).isInstanceOf(IllegalStateException.class)
                    .hasMessageContaining("recordable()");
        }
    }

    @Test
    void aRecordingIsSavedAfterATimeUnlessTheGuestIsGoneBefore() throws IOException {
        try (RestoredSnapshot restored = Restore.of(store, ID).recordable().restore(RestoreEngine.LAZY)) {
            touch(restored, 4);
            assertThat(restored.recordWorkingSet().saveAfter(Duration.ofMillis(1)).join().pages()).isEqualTo(1);
        }
        CompletableFuture<?> late;
        try (RestoredSnapshot restored = Restore.of(store, ID).recordable().restore(RestoreEngine.LAZY)) {
            late = restored.recordWorkingSet().saveAfter(Duration.ofSeconds(2));
        }
        assertThatThrownBy(late::join).isInstanceOf(CompletionException.class)
                .hasCauseInstanceOf(IllegalStateException.class);
        assertThat(set()).isEqualTo(pages(4));
    }

    @Test
    void aRecordingAndAPageMapSourceShareTheRegistrationWhicheverEndsFirst() throws IOException {
        try (RestoredSnapshot restored = Restore.of(store, ID).recordable().restore(RestoreEngine.LAZY)) {
            DirtyTracker tracker = restored.tracker(DirtySource.ofPageMap(restored.memory()));
            WorkingSetRecording recording = restored.recordWorkingSet();
            touch(restored, 10);
            write(restored, 11);
            assertThat(dirty(tracker)).isEqualTo(pages(11));
            recording.save();
            // Registered still: nothing that was protected may be forgotten.
            write(restored, 12);
            touch(restored, 13);
            assertThat(dirty(tracker)).isEqualTo(pages(12));
            WorkingSetRecording second = restored.recordWorkingSet();
            write(restored, 14);
            tracker.close();
            touch(restored, 15);
            second.save();
        }
        assertThat(set()).isEqualTo(pages(10, 11, 12, 13, 14, 15));
    }

    @Test
    void theFirstCaptureOfARecordedGuestHoldsWhatItWrote() throws IOException {
        try (RestoredSnapshot restored = Restore.of(store, ID).recordable().restore(RestoreEngine.LAZY);
                DirtyTracker tracker = restored.tracker();
                WorkingSetRecording recording = restored.recordWorkingSet()) {
            touch(restored, 3);
            write(restored, 8);
            CaptureResult result = Capture.of(store, new SnapshotId("next"), restored.reader()).tracker(tracker)
                    .kind(CaptureKind.DIFF).take(PAUSED);
            assertThat(result.memory().pagesOffered()).isEqualTo(1);
            recording.save();
            try (RestoredSnapshot next = Restore.of(store, new SnapshotId("next")).verified()
                    .restore(RestoreEngine.LAZY)) {
                assertThat(next.memory().mapping(0).mismatch(restored.memory().mapping(0))).isEqualTo(-1);
            }
        }
        assertThat(set()).isEqualTo(pages(3, 8));
    }

    @Test
    void aChainThatIsMadeCompleteKeepsItsWorkingSet() throws IOException {
        SnapshotId diff = new SnapshotId("diff");
        try (RestoredSnapshot restored = Restore.of(store, ID).restore(RestoreEngine.LAZY);
                DirtyTracker tracker = restored.tracker()) {
            write(restored, 8);
            Capture.of(store, diff, restored.reader()).tracker(tracker).kind(CaptureKind.DIFF).take(PAUSED);
        }
        try (RestoredSnapshot restored = Restore.of(store, diff).recordable().restore(RestoreEngine.LAZY);
                WorkingSetRecording recording = restored.recordWorkingSet()) {
            touch(restored, 8, 9);
            recording.save();
        }
        assertThat(Export.compact(store, diff, 1, Progress.NONE)).isTrue();
        assertThat(store.workingSet(diff).orElseThrow().pages()).isEqualTo(2);
    }

    @Test
    void withoutUserfaultfdAColdPageCacheTellsAndAWarmOneIsNoReasonToGuess() throws IOException {
        for (Errno reason : List.of(Errno.ENOSYS, Errno.EPERM)) {
            FaultyPosix faulty = FaultyPosix.host().every("userfaultfd").fails(reason);
            inexact(faulty, reason.name());
        }
        // A kernel before 6.7 does not know the features, and registers nothing.
        inexact(FaultyPosix.host().every("ioctl").fails(Errno.EINVAL), "EINVAL");
    }

    private void inexact(FaultyPosix faulty, String reason) throws IOException {
        store.clearWorkingSet(ID);
        try (DirectoryStore opened = DirectoryStore.open(faulty.posix(), directory.resolve("store"),
                StoreOptions.PRIVATE)) {
            evict();
            record(opened, 17, 18, 1_500);
            assertThat(set()).isEqualTo(pages(17, 18, 1_500));
            try (RestoredSnapshot warm = Restore.of(opened, ID).prefetch(Prefetch.EVERYTHING)
                    .restore(RestoreEngine.LAZY)) {
                assertIsTheGuest(warm);
            }
            try (RestoredSnapshot warm = Restore.of(opened, ID).recordable().restore(RestoreEngine.LAZY)) {
                assertThatThrownBy(warm::recordWorkingSet).isInstanceOf(TrackingUnavailableException.class)
                        .hasMessageContaining(reason).hasMessageContaining("cold");
                assertIsTheGuest(warm);
            }
        }
    }

    @Test
    void aRestoreThatIsRefusedLeavesNoDescriptorOfItsRecording() throws IOException {
        record(store, 5);
        FaultyPosix counting = FaultyPosix.host();
        try (DirectoryStore opened = DirectoryStore.open(counting.posix(), directory.resolve("store"),
                StoreOptions.PRIVATE)) {
            int descriptors = counting.openDescriptors().size();
            assertThatThrownBy(() -> Restore.of(opened, ID).recordable().prefetchBeside(Prefetch.WORKING_SET)
                    .renewing(copy -> {
                        throw new IOException("no identity left");
                    }).restore(RestoreEngine.LAZY)).hasMessage("no identity left");
            assertThat(counting.openDescriptors()).hasSize(descriptors);
            Restore.of(opened, ID).recordable().restore(RestoreEngine.LAZY).close();
            assertThat(counting.openDescriptors()).hasSize(descriptors);
        }
    }

    @Test
    void aPrefetchThatFailsIsSaidAndTheMemoryIsRightAllTheSame() throws IOException {
        record(store, 5, 6, 900);
        for (String call : List.of("posix_fadvise", "madvise", "mincore")) {
            evict();
            Errno failure = call.equals("madvise") ? Errno.EINVAL : Errno.EIO;
            FaultyPosix faulty = FaultyPosix.host().every(call).fails(failure);
            try (DirectoryStore opened = DirectoryStore.open(faulty.posix(), directory.resolve("store"),
                    StoreOptions.PRIVATE);
                    RestoredSnapshot restored = Restore.of(opened, ID).restore(RestoreEngine.LAZY)) {
                assertThat(restored.prefetched().because().isPresent()).as(call)
                        .isEqualTo(call.equals("posix_fadvise"));
                assertIsTheGuest(restored);
            }
        }
    }

    @Test
    void noMoreIsReadAheadThanAllowed() throws IOException {
        evict();
        try (RestoredSnapshot restored = Restore.of(store, ID).prefetch(Prefetch.NONE).restore(RestoreEngine.LAZY);
                StoredSnapshot held = store.hold(ID)) {
            PageRuns wanted = new PageRuns();
            wanted.add(0, LAYOUT.lengthBytes());
            ReadAhead.Amounts amounts = new ReadAhead(BaseChain.compose(held), restored.mapping(), wanted,
                    ReadAhead.Extent.MAPPED).run(2, 100L * PAGE);
            assertThat(amounts).isEqualTo(
                    new ReadAhead.Amounts(0, 100L * PAGE, LAYOUT.lengthBytes() - 100L * PAGE));
            assertThat(resident(restored).cardinality()).isEqualTo(100);
            assertIsTheGuest(restored);
        }
    }

    @Test
    void aPrefetchThatIsStoppedDoesNotBlameTheMemory() throws IOException {
        evict();
        try (RestoredSnapshot restored = Restore.of(store, ID).prefetch(Prefetch.NONE).restore(RestoreEngine.LAZY);
                StoredSnapshot held = store.hold(ID)) {
            PageRuns wanted = new PageRuns();
            wanted.add(0, LAYOUT.lengthBytes());
            PrefetchRun run = new PrefetchRun(BaseChain.compose(held), restored.mapping(), wanted,
                    ReadAhead.Extent.MAPPED, 2);
            run.close();
            run.run();
            assertThat(run.await().leftOutBytes()).isEqualTo(LAYOUT.lengthBytes());
            assertThat(run.await().because()).contains("the restored snapshot was closed");
        }
    }

    @Test
    void aPrefetchBesideTheGuestEndsWhenTheGuestDoes() throws IOException {
        for (int round = 0; round < 20; round++) {
            evict();
            try (RestoredSnapshot restored = Restore.of(store, ID).threads(2).prefetchBeside(Prefetch.EVERYTHING)
                    .restore(RestoreEngine.LAZY)) {
                if (round % 2 == 0) {
                    assertThat(restored.prefetched().leftOutBytes()).isZero();
                    assertIsTheGuest(restored);
                }
            }
        }
        assertThat(Thread.getAllStackTraces().keySet()).noneMatch(thread ->
                thread.getName().equals("microsnap-prefetch"));
    }

    @Test
    void aHundredCopiesOfAHeldSnapshotReadItOnceAndLeaveNothing() throws Exception {
        record(store, 5, 6, 900);
        FaultyPosix counting = FaultyPosix.host();
        try (DirectoryStore opened = DirectoryStore.open(counting.posix(), directory.resolve("store"),
                StoreOptions.PRIVATE)) {
            int descriptors = counting.openDescriptors().size();
            StoredSnapshot held = opened.hold(ID);
            Restore.of(held).restore(RestoreEngine.LAZY).close();
            long mapped = counting.mappedBytes();
            int opens = counting.calls("openat");
            int reads = counting.calls("pread");
            List<Callable<RestoredSnapshot>> restores = new ArrayList<>();
            for (int copy = 0; copy < 100; copy++) {
                restores.add(() -> Restore.of(held).restore(RestoreEngine.LAZY));
            }
            List<RestoredSnapshot> copies = new ArrayList<>();
            try (ExecutorService threads = Executors.newFixedThreadPool(8)) {
                for (Future<RestoredSnapshot> copy : threads.invokeAll(restores)) {
                    copies.add(copy.get());
                }
            }
            assertThat(counting.calls("openat")).isEqualTo(opens);
            assertThat(counting.calls("pread")).isEqualTo(reads);
            held.close();
            assertIsTheGuest(copies.getFirst());
            assertThat(copies.getLast().manifest().id()).isEqualTo(ID);
            for (RestoredSnapshot copy : copies) {
                assertThat(opened.isHeld(ID)).isTrue();
                copy.close();
            }
            assertThat(opened.isHeld(ID)).isFalse();
            assertThat(counting.openDescriptors()).hasSize(descriptors);
            assertThat(counting.mappedBytes()).isLessThanOrEqualTo(mapped);
        }
    }

    @Test
    @Tag("long")
    void aHundredProcessesRestoreOneSnapshotAtOneTime(ChildProcesses children) {
        List<ChildProcess> copies = new ArrayList<>();
        for (int copy = 0; copy < 100; copy++) {
            copies.add(children.java(OneOfMany.class, directory.resolve("store").toString()));
        }
        for (ChildProcess copy : copies) {
            ChildProcess.Exit exit = copy.awaitExit();
            assertThat(exit.status()).as(exit.output() + exit.errors()).isZero();
        }
    }

    /** One of many processes: restores, records and saves. */
    static final class OneOfMany {
        private OneOfMany() {
        }

        public static void main(String[] arguments) throws IOException {
            try (DirectoryStore store = DirectoryStore.open(Posix.host(), Path.of(arguments[0]),
                    StoreOptions.PRIVATE)) {
                record(store, 5, 6, 900);
                try (RestoredSnapshot restored = Restore.of(store, ID).restore(RestoreEngine.LAZY)) {
                    assertIsTheGuest(restored);
                }
            }
        }
    }

    private static void record(DirectoryStore from, int... touched) throws IOException {
        try (RestoredSnapshot restored = Restore.of(from, ID).recordable().prefetch(Prefetch.NONE)
                .restore(RestoreEngine.LAZY); WorkingSetRecording recording = restored.recordWorkingSet()) {
            touch(restored, touched);
            recording.save();
        }
    }

    private static void touch(RestoredSnapshot restored, int... touched) {
        for (int page : touched) {
            assertThat(restored.memory().mapping(0).get(ValueLayout.JAVA_BYTE, (long) page * PAGE))
                    .isEqualTo((byte) (page % 100 + 1));
        }
    }

    private static void write(RestoredSnapshot restored, int page) {
        restored.memory().mapping(0).set(ValueLayout.JAVA_BYTE, (long) page * PAGE + 7, (byte) 0);
    }

    private static BitSet dirty(DirtyTracker tracker) throws IOException {
        BitSet pages = new BitSet();
        try (Epoch epoch = tracker.harvest()) {
            epoch.bitmap().runs(0, (offset, lengthBytes) -> set(pages, offset, lengthBytes));
            epoch.commit(tracker.parent().orElseThrow());
        }
        return pages;
    }

    private static void assertIsTheGuest(RestoredSnapshot restored) {
        for (int page = 0; page < PAGES; page++) {
            touch(restored, page);
        }
    }

    private void evict() throws IOException {
        try (StoredSnapshot held = store.hold(ID)) {
            ColdCache.evict(held.image());
        }
    }

    private BitSet set() throws IOException {
        BitSet pages = new BitSet();
        try (StoredSnapshot held = store.hold(ID)) {
            held.workingSet().orElseThrow().runs((offset, lengthBytes) -> set(pages, offset, lengthBytes));
        }
        return pages;
    }

    private static BitSet mapped(RestoredSnapshot restored) throws IOException {
        BitSet pages = new BitSet();
        restored.mapping().mapped((offset, lengthBytes) -> set(pages, offset, lengthBytes));
        return pages;
    }

    private static BitSet resident(RestoredSnapshot restored) throws IOException {
        BitSet pages = new BitSet();
        restored.mapping().resident(0, LAYOUT.lengthBytes(), (offset, lengthBytes) -> set(pages, offset, lengthBytes));
        return pages;
    }

    private static void set(BitSet pages, long offset, long lengthBytes) {
        pages.set((int) (offset / PAGE), (int) ((offset + lengthBytes) / PAGE));
    }

    private static BitSet pages(int... numbers) {
        BitSet pages = new BitSet();
        for (int number : numbers) {
            pages.set(number);
        }
        return pages;
    }
}
