package io.microsnap.memory;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;

import io.microsnap.core.BusyException;
import io.microsnap.core.CancelledException;
import io.microsnap.core.GuestLayout;
import io.microsnap.core.IfExists;
import io.microsnap.core.MachineStateSection;
import io.microsnap.core.PageReader;
import io.microsnap.core.PausableMachine;
import io.microsnap.core.SnapshotException;
import io.microsnap.core.SnapshotId;
import io.microsnap.core.SnapshotReference;
import io.microsnap.core.internal.file.Extents;
import io.microsnap.core.internal.posix.Descriptor;
import io.microsnap.core.internal.posix.Posix;
import io.microsnap.core.testing.FaultyPosix;
import io.microsnap.dirty.DirtyBitmap;
import io.microsnap.dirty.DirtySource;
import io.microsnap.dirty.DirtyTracker;
import io.microsnap.dirty.SourceOwnership;
import io.microsnap.dirty.WritePath;
import io.microsnap.store.SnapshotStore;
import io.microsnap.store.StoreOptions;
import io.microsnap.store.internal.DirectoryStore;
import io.microsnap.store.internal.PageIndex;
import io.microsnap.store.internal.PageMap;
import io.microsnap.store.internal.SnapshotDescription;
import io.microsnap.store.internal.SnapshotFile;
import io.microsnap.store.internal.SnapshotFiles;
import io.microsnap.store.internal.StagedSnapshot;
import io.microsnap.store.internal.StoredManifest;
import io.microsnap.store.internal.StoredSnapshot;
import io.microsnap.testsupport.FileSystemKind;
import io.microsnap.testsupport.RealFileSystems;
import io.microsnap.testsupport.TinyFileSystem;
import java.io.EOFException;
import java.io.IOException;
import java.io.InputStream;
import java.lang.foreign.MemorySegment;
import java.lang.foreign.ValueLayout;
import java.lang.management.ManagementFactory;
import java.lang.management.ThreadInfo;
import java.lang.management.ThreadMXBean;
import java.nio.ByteBuffer;
import java.nio.channels.Channels;
import java.nio.file.FileAlreadyExistsException;
import java.nio.file.Files;
import java.nio.file.NoSuchFileException;
import java.nio.file.Path;
import java.nio.file.attribute.PosixFilePermissions;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.BitSet;
import java.util.Collections;
import java.util.List;
import java.util.Set;
import java.util.UUID;
import java.util.concurrent.atomic.AtomicInteger;
import java.util.stream.Stream;
import jdk.jfr.Recording;
import jdk.jfr.consumer.RecordedEvent;
import jdk.jfr.consumer.RecordingFile;
import org.junit.jupiter.api.AfterEach;
import org.junit.jupiter.api.BeforeEach;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.Timeout;
import org.junit.jupiter.api.condition.EnabledOnOs;
import org.junit.jupiter.api.condition.OS;
import org.junit.jupiter.api.io.TempDir;

final class CaptureTest {
    private static final int PAGE = 4096;
    private static final GuestLayout LAYOUT = GuestLayout.ofSingleRegion(PAGE, 256 * PAGE);
    private static final SnapshotId BASE = new SnapshotId("base");
    private static final SnapshotId NEXT = new SnapshotId("next");

    @TempDir
    private Path directory;
    private DirectoryStore store;
    private final InMemoryPageReader guest = InMemoryPageReader.of(LAYOUT);
    private final DirtyTracker tracker = DirtyTracker.ofMarks(LAYOUT);
    private final Machine machine = new Machine();

    @BeforeEach
    void openStore() throws IOException {
        store = DirectoryStore.openOrCreate(Posix.host(), directory.resolve("store"), StoreOptions.PRIVATE);
        write(3, 1);
        write(100, 2);
    }

    @AfterEach
    void closeStore() throws IOException {
        store.close();
    }

    @Test
    void theFirstCaptureIsFullAndTheNextOneOnlyWhatChanged() throws IOException {
        CaptureResult first = capture(BASE).imageName("debian").take(machine);
        write(7, 3);
        CaptureResult second = capture(NEXT).take(machine);

        assertThat(first.kind()).isEqualTo(CaptureKind.FULL);
        assertThat(first.manifest().imageName()).contains("debian");
        assertThat(second.kind()).isEqualTo(CaptureKind.DIFF);
        assertThat(second.memory().pagesRecorded()).isEqualTo(1);
        assertThat(second.manifest().parent()).contains(first.reference());
        assertThat(second.manifest().requiredBase()).contains(first.reference());
        assertThat(tracker.parent()).contains(second.reference());
        assertRestores(NEXT);
    }

    @Test
    void threadsAreStartedWhenItIsPreparedAndGoWithThePauseOrThePreparation() throws IOException {
        try (PreparedCapture prepared = capture(BASE).threads(3).prepare()) {
            assertThat(threads()).isEqualTo(2);
            try (CapturedSnapshot captured = prepared.capture(machine)) {
                assertThat(threads()).isZero();
                captured.publish();
            }
        }
        try (PreparedCapture prepared = capture(NEXT).threads(2).prepare()) {
            assertThat(threads()).isEqualTo(1);
            assertThat(prepared.kind()).isEqualTo(CaptureKind.DIFF);
        }
        assertThat(threads()).isZero();
    }

    @Test
    @Timeout(20)
    void threadsAreAwakeWhenTheMachineIsPaused() throws IOException {
        ThreadMXBean times = ManagementFactory.getThreadMXBean();
        try (PreparedCapture prepared = capture(BASE).threads(2).prepare()) {
            Thread thread = sleepingWorker();
            long asleep = times.getThreadCpuTime(thread.threadId());
            machine.whilePaused = () -> {
                // Nothing else wakes it before memory is written.
                while (times.getThreadCpuTime(thread.threadId()) == asleep) {
                    assertThat(Thread.interrupted()).as("the time is up").isFalse();
                }
            };
            prepared.capture(machine).close();
        }
        assertThat(threads()).isZero();
    }

    @Test
    @Timeout(20)
    void aMachineThatStandsStillAlreadyIsNotKeptWaitingForThem() throws IOException {
        Blocks blocks = new Blocks();
        List<Thread.State> states = new ArrayList<>();
        try (DirtyTracker coarse = DirtyTracker.of(LAYOUT, blocks);
                PreparedCapture prepared = Capture.of(store, BASE, guest).tracker(coarse).threads(2).prepare()) {
            Thread thread = sleepingWorker();
            blocks.whenHarvested = () -> states.add(thread.getState());
            prepared.capture(PausableMachine.pausedAlready(List.of())).close();
        }
        assertThat(states).containsExactly(Thread.State.WAITING);
    }

    @Test
    @EnabledOnOs(OS.LINUX)
    void aPauseOpensNothingAndWaitsForNoMemoryToRecordWhatChanged() throws IOException {
        FaultyPosix watched = FaultyPosix.host();
        capture(BASE).take(machine);
        try (DirectoryStore other = DirectoryStore.open(watched.posix(), directory.resolve("store"),
                StoreOptions.PRIVATE)) {
            for (int page = 0; page < LAYOUT.pageCount(); page += 3) {
                write(page, 4);
            }
            try (PreparedCapture prepared = Capture.of(other, NEXT, guest).tracker(tracker).prepare()) {
                long before = watched.populatedBytes();
                AtomicInteger opened = new AtomicInteger();
                machine.whilePaused = () -> opened.set(watched.calls("openat"));
                try (CapturedSnapshot captured = prepared.capture(machine)) {
                    assertThat(watched.populatedBytes()).isEqualTo(before);
                    assertThat(watched.calls("openat")).as("all files are open").isEqualTo(opened.get());
                    captured.publish();
                }
            }
        }
        assertRestores(NEXT);
    }

    private static Thread sleepingWorker() {
        Thread thread = laneThreads().findAny().orElseThrow();
        while (thread.getState() != Thread.State.WAITING) {
            Thread.onSpinWait();
        }
        return thread;
    }

    private static long threads() {
        return laneThreads().count();
    }

    private static Stream<Thread> laneThreads() {
        return Thread.getAllStackTraces().keySet().stream()
                .filter(thread -> thread.getName().startsWith("microsnap-capture-"));
    }

    @RealFileSystems({FileSystemKind.XFS, FileSystemKind.BTRFS})
    void whereTheFilesystemCanCloneTheNextCaptureIsCompleteAndItsBaseMayGo(Path on) throws IOException {
        try (DirectoryStore cloning = DirectoryStore.openOrCreate(
                Posix.host(), on.resolve("store"), StoreOptions.PRIVATE)) {
            Capture.of(cloning, BASE, guest).tracker(tracker).take(machine);
            write(7, 3);
            CaptureResult next = Capture.of(cloning, NEXT, guest).tracker(tracker).take(machine);

            assertThat(next.kind()).isEqualTo(CaptureKind.ONTO_BASE);
            assertThat(next.memory().pagesRecorded()).isEqualTo(1);
            SnapshotId asked = new SnapshotId("asked-for");
            assertThat(Capture.of(cloning, asked, guest).base(BASE).kind(CaptureKind.DIFF).take(machine).kind())
                    .isEqualTo(CaptureKind.DIFF);
            cloning.delete(asked);
            cloning.delete(BASE);
            assertRestores(cloning, NEXT);
        }
    }

    @RealFileSystems({FileSystemKind.XFS, FileSystemKind.BTRFS})
    void aCaptureOntoItsBaseMayTakeItsPlace(Path on) throws IOException {
        try (DirectoryStore cloning = DirectoryStore.openOrCreate(
                Posix.host(), on.resolve("store"), StoreOptions.PRIVATE)) {
            Capture.of(cloning, BASE, guest).tracker(tracker).take(machine);
            for (int value = 3; value < 5; value++) {
                write(7, value);
                CaptureResult next = Capture.of(cloning, BASE, guest).tracker(tracker).ifExists(IfExists.REPLACE)
                        .take(machine);
                assertThat(next.kind()).isEqualTo(CaptureKind.ONTO_BASE);
                assertThat(next.memory().pagesRecorded()).isEqualTo(1);
                assertRestores(cloning, BASE);
            }
        }
    }

    @RealFileSystems({FileSystemKind.XFS, FileSystemKind.BTRFS})
    void zerosAreWrittenUnderThePauseAndPunchedAfterIt(Path on) throws IOException {
        try (DirectoryStore cloning = DirectoryStore.openOrCreate(
                Posix.host(), on.resolve("store"), StoreOptions.PRIVATE)) {
            guest.bytes().fill((byte) 9);
            Capture.of(cloning, BASE, guest).tracker(tracker).take(machine);
            zero(64, 64);
            zero(200, 1);
            CaptureResult next = Capture.of(cloning, NEXT, guest).tracker(tracker).take(machine);

            assertThat(next.kind()).isEqualTo(CaptureKind.ONTO_BASE);
            assertThat(next.memory().bytesWritten()).isEqualTo(65 * PAGE);
            assertThat(next.memory().pagesZero()).isEqualTo(65);
            assertThat(next.punchedBytes()).isEqualTo(64 * PAGE);
            assertRestores(cloning, NEXT);
        }
    }

    @Test
    void whatATrackerDoesNotKnowIsComparedWithTheBase() throws IOException {
        capture(BASE).take(machine);
        write(7, 3);
        tracker.invalidate("a slot was moved");
        CaptureResult next = capture(NEXT).take(machine);

        assertThat(next.kind()).isEqualTo(CaptureKind.DIFF);
        assertThat(next.because()).contains("compared", "a slot was moved");
        assertThat(next.memory().pagesRecorded()).isEqualTo(1);
        assertThat(next.memory().pagesOffered()).isEqualTo(LAYOUT.pageCount());
        assertRestores(NEXT);
    }

    @Test
    void withoutATrackerEveryPageIsComparedWithTheBaseThatIsNamed() throws IOException {
        Capture.of(store, BASE, guest).take(machine);
        write(7, 3);
        CaptureResult next = Capture.of(store, NEXT, guest).base(BASE).take(machine);

        assertThat(next.memory().pagesRecorded()).isEqualTo(1);
        assertThat(next.manifest().parent().orElseThrow().id()).isEqualTo(BASE);
        assertRestores(NEXT);
    }

    /** A lost block reads as zeros, and so does what the guest never touched or gave back. */
    @RealFileSystems
    void whatABaseHasLostIsNotTakenForWhatTheGuestHas(Path on) throws IOException {
        boolean[] asHole = {true, false};
        for (boolean hole : asHole) {
            try (DirectoryStore damaged = DirectoryStore.openOrCreate(
                    Posix.host(), on.resolve("store-" + hole), StoreOptions.PRIVATE)) {
                write(100, 2);
                write(101, 5);
                Capture.of(damaged, BASE, guest).take(machine);
                Path image = on.resolve("store-" + hole + "/base/memory.img");
                byte[] whole = Files.readAllBytes(image);
                overwrite(image, whole, hole);
                BitSet populated = new BitSet();
                populated.set(0, 100);
                populated.set(101, (int) LAYOUT.pageCount());
                guest.bytes().asSlice(100L * PAGE, PAGE).fill((byte) 0);

                CaptureResult next = Capture.of(damaged, NEXT, new SparseReader(guest, populated, true)).base(BASE)
                        .take(machine);

                assertThat(next.memory().pagesDamagedInBase()).as("pages 100 and 101").isEqualTo(2);
                assertThat(next.memory().pagesRecorded()).isEqualTo(2);
                assertThat(next.because()).contains("2 of its pages are damaged", "verify base");
                assertRestores(damaged, NEXT);
                Files.write(image, whole);
                assertRestores(damaged, NEXT);
            }
        }
    }

    /** Takes pages 100 and 101 of an image away: as a hole, or as zeros. */
    private static void overwrite(Path image, byte[] whole, boolean hole) throws IOException {
        Files.setPosixFilePermissions(image, PosixFilePermissions.fromString("rw-------"));
        try (Descriptor file = Descriptor.open(Posix.host(), image, Posix.host().constants().O_RDWR, 0)) {
            if (hole) {
                assertThat(Extents.punch(file, 100L * PAGE, 2 * PAGE)).isTrue();
                return;
            }
        }
        byte[] zeroed = whole.clone();
        Arrays.fill(zeroed, 100 * PAGE, 102 * PAGE, (byte) 0);
        Files.write(image, zeroed);
    }

    @Test
    void aCaptureThatIsNotPublishedGivesTheEpochBackAndLeavesNothing() throws IOException {
        capture(BASE).take(machine);
        write(7, 3);
        try (PreparedCapture prepared = capture(NEXT).prepare();
                CapturedSnapshot captured = prepared.capture(machine)) {
            assertThat(captured.memory().pagesRecorded()).isEqualTo(1);
        }
        assertNothingLeft();
        write(8, 4);

        CaptureResult next = capture(NEXT).take(machine);

        assertThat(next.memory().pagesRecorded()).isEqualTo(2);
        assertRestores(NEXT);
    }

    @Test
    void anAttachmentIsOfTheSameMoment() throws IOException {
        Path overlay = directory.resolve("overlay");
        Files.writeString(overlay, "as it was");
        machine.whilePaused = () -> Files.writeString(overlay, "as it was in the pause");
        capture(BASE).attach("overlay.img", overlay).take(machine);
        Files.writeString(overlay, "as it is");

        try (RestoredSnapshot restored = Restore.of(store, BASE).restore(RestoreEngine.LAZY);
                InputStream content = Channels.newInputStream(restored.attachment("overlay.img"))) {
            assertThat(content).hasContent("as it was in the pause");
        }
    }

    @Test
    void whatIsNoFileIsNotAttachedAndNotWaitedFor() throws Exception {
        Path pipe = directory.resolve("pipe");
        assertThat(new ProcessBuilder("mkfifo", pipe.toString()).start().waitFor()).isZero();
        assertThatThrownBy(() -> capture(BASE).attach("pipe", pipe).take(machine))
                .isInstanceOf(SnapshotException.class).hasMessageContaining("not a plain file");
        assertNothingLeft();
    }

    @Test
    void stateIsSavedBeforeMemoryIsReadBecauseSavingMayWriteMemory() throws IOException {
        machine.whilePaused = () -> write(50, 7);
        capture(BASE).take(machine);
        assertRestores(BASE);
        machine.whilePaused = () -> write(51, 8);
        assertThat(capture(NEXT).take(machine).memory().pagesRecorded()).isEqualTo(1);
        assertRestores(NEXT);
    }

    @Test
    void theMachineIsResumedExactlyOnceWhateverFails() throws IOException {
        capture(BASE).take(machine);
        write(7, 3);
        IOException broken = new IOException("broken");
        List<Machine> machines = List.of(
                new Machine().failing("pause", broken), new Machine().failing("state", broken),
                new Machine().failing("resume", broken));
        for (Machine failing : machines) {
            assertThatThrownBy(() -> capture(NEXT).take(failing)).isSameAs(broken);
            assertThat(failing.calls.stream().filter("resume"::equals)).as("%s", failing.calls).hasSize(1);
            assertNothingLeft();
        }
        Machine twice = new Machine().failing("state", broken).failing("resume", new IOException("also broken"));
        assertThatThrownBy(() -> capture(NEXT).take(twice)).isSameAs(broken)
                .satisfies(failure -> assertThat(failure.getSuppressed()).hasSize(1));

        assertThat(capture(NEXT).take(machine).memory().pagesRecorded()).isEqualTo(1);
    }

    /** Kotlin, Scala and Lombok throw checked exceptions that no signature names. */
    @Test
    void whateverIsThrownTheMachineIsResumedAndNothingIsLeftOpen() throws IOException {
        capture(BASE).take(machine);
        write(7, 3);
        for (String call : List.of("pause", "state", "resume")) {
            for (Throwable thrown : List.of(new InterruptedException("sneaky"), new StackOverflowError("deep"))) {
                Machine failing = new Machine().failing(call, thrown);
                assertThatThrownBy(() -> capture(NEXT).threads(2).take(failing)).isSameAs(thrown);
                assertThat(failing.calls.stream().filter("resume"::equals)).as("%s", failing.calls).hasSize(1);
                assertNothingLeft();
                assertThat(threads()).isZero();
                tracker.claim().close();
            }
        }
        InterruptedException enough = new InterruptedException("enough");
        assertThatThrownBy(() -> capture(NEXT).progress((done, total) -> Machine.<RuntimeException>sneak(enough))
                .take(machine)).hasRootCause(enough);
        assertNothingLeft();
        assertThat(capture(NEXT).take(machine).memory().pagesRecorded()).isEqualTo(1);
        assertRestores(NEXT);
    }

    @Test
    void aSecondCaptureIsRefusedBeforeItTouchesTheMachine() throws IOException {
        machine.whilePaused = () -> {
            assertThatThrownBy(() -> capture(NEXT).take(machine)).isInstanceOf(BusyException.class)
                    .hasMessageContaining("an earlier capture of this guest");
            assertThat(machine.calls).containsExactly("pause", "state");
        };
        try (PreparedCapture prepared = capture(BASE).prepare()) {
            assertThatThrownBy(() -> capture(NEXT).take(machine)).isInstanceOf(BusyException.class)
                    .hasMessageContaining("an earlier capture of this guest");
            assertThat(machine.calls).isEmpty();
            try (CapturedSnapshot captured = prepared.capture(machine)) {
                assertThatThrownBy(() -> capture(NEXT).take(machine)).isInstanceOf(BusyException.class)
                        .hasMessageContaining("an earlier capture of this guest");
                captured.publish();
                machine.whilePaused = () -> { };
                assertThat(capture(NEXT).take(machine).memory().pagesRecorded()).isZero();
            }
        }
        assertThat(machine.calls).containsExactly("pause", "state", "resume", "pause", "state", "resume");
    }

    @Test
    @Timeout(20)
    void capturesThatShareNoTrackerPauseTheMachineOneAfterTheOther() throws Exception {
        ThreadMXBean threads = ManagementFactory.getThreadMXBean();
        List<Throwable> failures = Collections.synchronizedList(new ArrayList<>());
        Thread second = Thread.ofPlatform().unstarted(() -> {
            try {
                Capture.of(store, NEXT, guest).take(machine);
            } catch (Throwable failure) {
                failures.add(failure);
            }
        });
        machine.whilePaused = () -> {
            machine.whilePaused = () -> { };
            second.start();
            boolean waits = false;
            while (!waits && second.isAlive()) {
                ThreadInfo info = threads.getThreadInfo(second.threadId());
                waits = info != null && info.getLockInfo() != null
                        && info.getLockInfo().getIdentityHashCode() == System.identityHashCode(machine);
            }
            assertThat(machine.calls).containsExactly("pause", "state");
        };
        Capture.of(store, BASE, guest).take(machine);
        second.join();
        assertThat(failures).isEmpty();
        assertThat(machine.calls).containsExactly("pause", "state", "resume", "pause", "state", "resume");
    }

    @Test
    void anAbandonedCaptureTouchesNothingMoreAndLosesNothing() throws IOException {
        capture(BASE).take(machine);
        write(7, 3);
        machine.calls.clear();
        try (PreparedCapture lost = capture(NEXT).prepare()) {
            tracker.abandonCapture();
            assertThatThrownBy(() -> lost.capture(machine)).isInstanceOf(IllegalStateException.class)
                    .hasMessageContaining("abandoned");
            assertThat(machine.calls).isEmpty();
        }
        try (PreparedCapture prepared = capture(NEXT).prepare(); CapturedSnapshot lost = prepared.capture(machine)) {
            tracker.abandonCapture();
            assertThatThrownBy(lost::publish).isInstanceOf(IllegalStateException.class)
                    .hasMessageContaining("abandoned");
            assertNothingLeft();
        }
        assertThat(capture(NEXT).take(machine).memory().pagesRecorded()).isEqualTo(1);
        assertRestores(NEXT);
    }

    @Test
    void aCaptureThatIsAbandonedWhileItIsPublishedIsPublishedAndItsChangesAreToldAgain() throws IOException {
        capture(BASE).take(machine);
        FaultyPosix watched = FaultyPosix.host();
        try (DirectoryStore other = DirectoryStore.open(watched.posix(), directory.resolve("store"),
                StoreOptions.PRIVATE)) {
            write(7, 3);
            watched.before(call -> {
                if (call.name().equals("renameat2")) {
                    tracker.abandonCapture();
                }
            });
            Capture.of(other, NEXT, guest).tracker(tracker).take(machine);
        }
        assertRestores(NEXT);
        assertThat(tracker.parent().orElseThrow().id()).isEqualTo(BASE);
        assertThat(capture(new SnapshotId("later")).take(machine).memory().pagesRecorded()).isEqualTo(1);
    }

    @Test
    void anIdThatIsTakenMeanwhileFailsThePublicationAndGivesTheEpochBack() throws IOException {
        capture(BASE).take(machine);
        write(7, 3);
        try (PreparedCapture prepared = capture(NEXT).prepare();
                CapturedSnapshot captured = prepared.capture(machine)) {
            Capture.of(store, NEXT, InMemoryPageReader.of(LAYOUT)).take(machine);
            assertThatThrownBy(captured::publish).isInstanceOf(FileAlreadyExistsException.class);
            assertThatThrownBy(captured::publish).isInstanceOf(IllegalStateException.class);
            SnapshotId other = new SnapshotId("other");
            assertThat(capture(other).take(machine).memory().pagesRecorded()).isEqualTo(1);
            assertRestores(other);
        }
    }

    @Test
    void whatIsKnownToFailFailsBeforeThePause() throws IOException {
        capture(BASE).take(machine);
        machine.calls.clear();
        assertThatThrownBy(() -> capture(BASE).prepare()).isInstanceOf(FileAlreadyExistsException.class)
                .hasMessageContaining("base");
        assertThatThrownBy(() -> capture(BASE).kind(CaptureKind.DIFF).ifExists(IfExists.REPLACE).prepare())
                .isInstanceOf(SnapshotException.class).hasMessageContaining("it would replace");
        try (DirtyTracker other = DirtyTracker.ofMarks(GuestLayout.ofSingleRegion(PAGE, 255 * PAGE))) {
            assertThatThrownBy(() -> Capture.of(store, NEXT, guest).tracker(other).kind(CaptureKind.FULL).prepare())
                    .isInstanceOf(IllegalArgumentException.class).hasMessageContaining("the tracker watches");
        }
        assertNothingLeft();
        assertThat(machine.calls).isEmpty();
        tracker.claim().close();
    }

    @Test
    void aChainGrowsAsLongAsARestoreAcceptsAndNoLonger() throws IOException {
        InMemoryPageReader small = InMemoryPageReader.of(GuestLayout.ofSingleRegion(PAGE, PAGE));
        try (DirtyTracker marks = DirtyTracker.ofMarks(small.layout())) {
            marks.armRelativeTo(chain(small.layout(), SnapshotStore.LONGEST_CHAIN - 1));
            SnapshotId last = new SnapshotId("last");
            Capture.of(store, last, small).tracker(marks).kind(CaptureKind.DIFF).take(machine);
            machine.calls.clear();
            assertThatThrownBy(() -> Capture.of(store, NEXT, small).tracker(marks).kind(CaptureKind.DIFF).take(machine))
                    .isInstanceOf(SnapshotException.class).hasMessageContaining("it would need 513 snapshots")
                    .hasMessageContaining("last").hasMessageContaining("capture in full");
            assertThat(machine.calls).isEmpty();
            Restore.of(store, last).restore(RestoreEngine.LAZY).close();
        }
    }

    /** Makes empty snapshots, each of which needs the one before: from the third on without publishing them. */
    private SnapshotReference chain(GuestLayout layout, int length) throws IOException {
        SnapshotReference base = publishEmpty("n1", SnapshotDescription.full(layout)).reference();
        StoredManifest last = publishEmpty("n2", SnapshotDescription.diff(layout, base));
        Path second = directory.resolve("store/n2");
        for (int number = 3; number <= length; number++) {
            last = new StoredManifest(new SnapshotId("n" + number), UUID.randomUUID(), last.created(),
                    SnapshotDescription.diff(layout, last.reference()), last.files());
            Path place = Files.createDirectory(directory.resolve("store/n" + number));
            for (SnapshotFile file : last.files()) {
                Files.createLink(place.resolve(file.name()), second.resolve(file.name()));
            }
            Files.write(place.resolve(SnapshotFiles.MANIFEST), last.toJson());
        }
        return last.reference();
    }

    private StoredManifest publishEmpty(String name, SnapshotDescription description) throws IOException {
        try (StagedSnapshot staged = store.stage(new SnapshotId(name))) {
            staged.create(SnapshotFiles.MEMORY).truncate(description.layout().lengthBytes());
            try (PageIndex index = PageIndex.create(staged.create(SnapshotFiles.PAGE_INDEX), description.layout())) {
                index.finish();
            }
            if (description.base().isPresent()) {
                try (PageMap map = PageMap.create(staged.create(SnapshotFiles.PAGE_MAP), description.layout())) {
                    map.finish();
                }
            }
            return staged.publish(description);
        }
    }

    @RealFileSystems
    void aCheckedCaptureOfAMachineThatKeepsItsPromisesIsLikeAnyOther(Path on) throws IOException {
        try (DirectoryStore other = DirectoryStore.openOrCreate(
                Posix.host(), on.resolve("store"), StoreOptions.PRIVATE)) {
            Capture.of(other, BASE, guest).tracker(tracker).checked().threads(2).take(machine);
            write(7, 3);
            zero(100, 20);
            CaptureResult next = Capture.of(other, NEXT, guest).tracker(tracker).checked().threads(2).take(machine);
            assertThat(next.memory().pagesRecorded()).isEqualTo(21);
            assertRestores(other, NEXT);
            tracker.invalidate("to be compared");
            write(8, 3);
            SnapshotId compared = new SnapshotId("compared");
            Capture.of(other, compared, guest).tracker(tracker).checked().take(machine);
            assertRestores(other, compared);
        }
    }

    @Test
    void aCheckedCaptureFindsWhatWasWrittenUnmarkedAndTheNextOneComparesAll() throws IOException {
        capture(BASE).take(machine);
        write(7, 3);
        guest.bytes().set(ValueLayout.JAVA_BYTE, 9L * PAGE + 5, (byte) 1);
        assertThatThrownBy(() -> capture(NEXT).checked().take(machine)).isInstanceOf(SnapshotException.class)
                .hasMessageContaining("1 pages differ").hasMessageContaining("image offset " + 9 * PAGE)
                .hasMessageContaining("neither seen nor marked")
                .hasMessageNotContaining("while the machine was paused");
        assertNothingLeft();
        CaptureResult next = capture(NEXT).checked().take(machine);
        assertThat(next.because()).contains("a checked capture found");
        assertThat(next.memory().pagesRecorded()).isEqualTo(2);
        assertRestores(NEXT);
    }

    @Test
    void aCheckedCaptureFindsAMachineThatRunsWhilePaused() throws IOException {
        for (CaptureKind kind : List.of(CaptureKind.FULL, CaptureKind.DIFF)) {
            if (kind == CaptureKind.DIFF) {
                capture(BASE).take(machine);
                write(100, 7);
            }
            AtomicInteger counter = new AtomicInteger();
            assertThatThrownBy(() -> capture(NEXT).kind(kind).checked().progress((done, total) ->
                    guest.bytes().set(ValueLayout.JAVA_INT, 100L * PAGE, counter.incrementAndGet())).take(machine))
                    .isInstanceOf(SnapshotException.class).hasMessageContaining("image offset " + 100 * PAGE)
                    .hasMessageContaining("changed while the machine was paused")
                    .hasMessageNotContaining("neither seen nor marked");
            assertNothingLeft();
        }
        assertThat(machine.calls).endsWith("pause", "state", "resume");
        assertThat(tracker.unknownBecause()).isEmpty();
    }

    /** The guest has again what was there when it was looked at, and the image has what was there in between. */
    @Test
    void aCheckedCaptureFindsWhatChangedWhileItWasWritten() throws IOException {
        FaultyPosix watched = FaultyPosix.host();
        MemorySegment page = guest.bytes().asSlice(100L * PAGE, PAGE);
        machine.whilePaused = () -> watched.before(call -> {
            if (call.name().equals("pwrite")) {
                page.fill((byte) 99);
            }
        }).after((call, result) -> page.fill((byte) 2));
        try (DirectoryStore other = DirectoryStore.open(watched.posix(), directory.resolve("store"),
                StoreOptions.PRIVATE)) {
            assertThatThrownBy(() -> Capture.of(other, NEXT, guest).checked().take(machine))
                    .isInstanceOf(SnapshotException.class).hasMessageContaining("image offset " + 100 * PAGE)
                    .hasMessageContaining("changed while the machine was paused");
        }
    }

    @RealFileSystems
    void aCheckedCaptureNamesABaseThatIsDamaged(Path on) throws IOException {
        try (DirectoryStore other = DirectoryStore.openOrCreate(
                Posix.host(), on.resolve("store"), StoreOptions.PRIVATE)) {
            Capture.of(other, BASE, guest).tracker(tracker).take(machine);
            Path image = on.resolve("store/base/memory.img");
            overwrite(image, Files.readAllBytes(image), false);
            assertThatThrownBy(() -> Capture.of(other, NEXT, guest).tracker(tracker).checked().take(machine))
                    .isInstanceOf(SnapshotException.class).hasMessageContaining("image offset " + 100 * PAGE)
                    .hasMessageContaining("is damaged in the base");
            assertThat(tracker.unknownBecause()).isEmpty();
        }
    }

    @Test
    void stateThatCannotBeKeptIsRefusedBeforeMemoryIsWritten() throws IOException {
        MachineStateSection clock = new MachineStateSection("clock", ByteBuffer.wrap(new byte[] {1}));
        AtomicInteger progress = new AtomicInteger();
        assertThatThrownBy(() -> capture(BASE).progress((done, total) -> progress.incrementAndGet())
                .take(PausableMachine.pausedAlready(List.of(clock, clock))))
                .isInstanceOf(IllegalArgumentException.class).hasMessageContaining("named clock");
        assertThat(progress).hasValue(0);
    }

    @Test
    void whatAManifestCannotCarryIsRefusedWhenItIsSaid() {
        Capture said = capture(BASE);
        assertThatThrownBy(() -> said.imageName("a\u001b[31mred")).isInstanceOf(IllegalArgumentException.class);
        assertThatThrownBy(() -> said.bakerVersion("x".repeat(5000))).isInstanceOf(IllegalArgumentException.class);
        assertThatThrownBy(() -> said.label("not a name", "x")).isInstanceOf(IllegalArgumentException.class);
        assertThatThrownBy(() -> said.label("team", "a\nb")).isInstanceOf(IllegalArgumentException.class);
    }

    @Test
    void aReaderThatFailsOrFallsShortEndsTheCaptureAndNothingElse() throws IOException {
        capture(BASE).take(machine);
        write(7, 3);
        write(200, 3);
        for (IOException broken : List.of(new IOException("no such process"), new EOFException("it ends at 200"))) {
            PageReader failing = new FailingReader(200 * PAGE, broken);
            assertThatThrownBy(() -> Capture.of(store, NEXT, failing).tracker(tracker).take(machine)).isSameAs(broken);
            assertNothingLeft();
        }
        assertThat(machine.calls.stream().filter("pause"::equals).count())
                .isEqualTo(machine.calls.stream().filter("resume"::equals).count());
        assertThat(capture(NEXT).take(machine).memory().pagesRecorded()).isEqualTo(2);
        assertRestores(NEXT);
    }

    @Test
    void aCallerWhoCancelsGetsItsMachineItsEpochAndItsStoreBack() throws IOException {
        CancelledException enough = new CancelledException("enough");
        assertThatThrownBy(() -> capture(BASE).progress((done, total) -> {
            throw enough;
        }).take(machine)).isSameAs(enough);
        assertThat(machine.calls).containsExactly("pause", "state", "resume");
        assertNothingLeft();
        assertThat(capture(BASE).take(machine).kind()).isEqualTo(CaptureKind.FULL);
    }

    @Test
    void aBaseOfAnotherLayoutOrPageSizeIsRefusedByName() throws IOException {
        capture(BASE).take(machine);
        for (GuestLayout other : List.of(GuestLayout.ofSingleRegion(4 * PAGE, 256 * PAGE),
                GuestLayout.ofSingleRegion(PAGE, 512 * PAGE))) {
            assertThatThrownBy(() -> Capture.of(store, NEXT, InMemoryPageReader.of(other)).base(BASE).take(machine))
                    .isInstanceOf(SnapshotException.class)
                    .hasMessageContaining("next").hasMessageContaining("base").hasMessageContaining(other.toString());
        }
        assertThat(machine.calls).containsExactly("pause", "state", "resume");
    }

    @Test
    void anEpochRelativeToAnotherSnapshotIsRefusedBeforeThePause() throws IOException {
        capture(BASE).take(machine);
        Capture.of(store, new SnapshotId("other"), guest).take(machine);
        machine.calls.clear();

        assertThatThrownBy(() -> capture(NEXT).base(new SnapshotId("other")).take(machine))
                .isInstanceOf(SnapshotException.class).hasMessageContaining("other").hasMessageContaining("base");
        assertThat(machine.calls).isEmpty();
    }

    @Test
    void theTrackerIsArmedBeforeThePause() throws IOException {
        Blocks blocks = new Blocks();
        try (DirtyTracker coarse = DirtyTracker.of(LAYOUT, blocks);
                PreparedCapture prepared = Capture.of(store, BASE, guest).tracker(coarse).prepare()) {
            assertThat(blocks.armed).isTrue();
            assertThat(prepared.kind()).isEqualTo(CaptureKind.FULL);
        }
    }

    @Test
    void aBaseThatIsGoneOrReplacedMakesTheNextCaptureFullUnlessADiffWasAskedFor() throws IOException {
        CaptureResult first = capture(BASE).take(machine);
        Capture.of(store, BASE, guest).ifExists(IfExists.REPLACE).take(machine);
        assertThatThrownBy(() -> capture(NEXT).kind(CaptureKind.DIFF).take(machine))
                .isInstanceOf(SnapshotException.class).hasMessageContaining(first.reference().toString());
        store.delete(BASE);
        assertThatThrownBy(() -> capture(NEXT).base(BASE).take(machine)).isInstanceOf(NoSuchFileException.class);

        CaptureResult next = capture(NEXT).take(machine);

        assertThat(next.kind()).isEqualTo(CaptureKind.FULL);
        assertThat(next.because()).contains(first.reference().toString());
        assertRestores(NEXT);
    }

    /** By its id it is the base, but what changed since is not known of it. */
    @Test
    void aBaseInWhosePlaceIsAnotherSnapshotIsNotBuiltOn() throws IOException {
        for (boolean known : new boolean[] {true, false}) {
            CaptureResult first = capture(BASE).ifExists(IfExists.REPLACE).kind(CaptureKind.FULL).take(machine);
            write(7, known ? 3 : 4);
            Capture.of(store, BASE, InMemoryPageReader.of(LAYOUT)).ifExists(IfExists.REPLACE).take(machine);
            if (!known) {
                tracker.invalidate("a slot was moved");
            }
            CaptureResult next = capture(NEXT).take(machine);

            assertThat(next.kind()).isEqualTo(CaptureKind.FULL);
            assertThat(next.because()).contains(first.reference().toString());
            assertRestores(NEXT);
            store.delete(NEXT);
        }
    }

    @Test
    void ofABlockOnlyThePagesThatChangedAreKeptAndItsSourceLearnsWhichTheyWere() throws IOException {
        Blocks blocks = new Blocks();
        try (DirtyTracker coarse = DirtyTracker.of(LAYOUT, blocks)) {
            Capture.of(store, BASE, guest).tracker(coarse).take(machine);
            guest.bytes().asSlice(20 * PAGE, PAGE).fill((byte) 3);
            guest.bytes().asSlice(100 * PAGE, PAGE).fill((byte) 0);
            blocks.written.mark(20 * PAGE, PAGE);
            blocks.written.mark(100 * PAGE, PAGE);
            CaptureResult next;
            try (PreparedCapture prepared = Capture.of(store, NEXT, guest).tracker(coarse).prepare();
                    CapturedSnapshot captured = prepared.capture(machine)) {
                next = captured.publish();
            }

            assertThat(next.memory().pagesOffered()).isEqualTo(2 * Blocks.PAGES);
            assertThat(next.memory().pagesRecorded()).isEqualTo(2);
            assertThat(blocks.reported).isEqualTo(2 * Blocks.PAGES);
            assertThat(blocks.changed).containsExactly(20L * PAGE, 100L * PAGE);
            assertRestores(NEXT);
        }
    }

    @Test
    void ontoABaseIsRefusedWhereNothingCanBeCloned() throws IOException {
        capture(BASE).take(machine);
        capture(NEXT).take(machine);
        assertThatThrownBy(() -> capture(new SnapshotId("third")).kind(CaptureKind.ONTO_BASE).take(machine))
                .isInstanceOf(SnapshotException.class).hasMessageContaining("is a diff");
        assertThatThrownBy(() -> Capture.of(store, new SnapshotId("first"), guest).kind(CaptureKind.DIFF).take(machine))
                .isInstanceOf(SnapshotException.class).hasMessageContaining("there is no base");
    }

    @Test
    void anIdThatIsTakenIsRefusedAndTheEpochGivenBack() throws IOException {
        capture(BASE).take(machine);
        write(7, 3);
        assertThatThrownBy(() -> capture(BASE).take(machine)).isInstanceOf(FileAlreadyExistsException.class);
        assertThat(capture(NEXT).take(machine).memory().pagesRecorded()).isEqualTo(1);
    }

    @Test
    void aFullDiskEndsTheCaptureAndLeavesNothing(@TinyFileSystem Path tiny) throws IOException {
        GuestLayout large = GuestLayout.ofSingleRegion(PAGE, 32L << 20);
        InMemoryPageReader full = InMemoryPageReader.of(large);
        full.bytes().fill((byte) 5);
        try (DirectoryStore small = DirectoryStore.openOrCreate(
                Posix.host(), tiny.resolve("store"), StoreOptions.PRIVATE)) {
            assertThatThrownBy(() -> Capture.of(small, BASE, full).take(machine))
                    .isInstanceOf(IOException.class).hasMessageContaining("ENOSPC");
            assertThat(machine.calls).containsExactly("pause", "state", "resume");
            assertThat(small.list()).isEmpty();
            assertThat(small.gc().removed()).isZero();
        }
    }

    @Test
    void theEventSaysWhatTheResultSays() throws IOException {
        try (Recording recording = new Recording()) {
            recording.enable("io.microsnap.SnapshotCaptured").withThreshold(java.time.Duration.ZERO);
            recording.start();
            CaptureResult result = capture(BASE).take(machine);
            recording.stop();
            Path file = directory.resolve("recording.jfr");
            recording.dump(file);
            List<RecordedEvent> events = RecordingFile.readAllEvents(file).stream()
                    .filter(event -> event.getEventType().getName().equals("io.microsnap.SnapshotCaptured")).toList();
            assertThat(events).hasSize(1);
            assertThat(events.getFirst().getString("snapshot")).isEqualTo(result.reference().toString());
            assertThat(events.getFirst().getDuration("pause")).isEqualTo(result.times().pause());
            assertThat(events.getFirst().getLong("bytesWritten")).isEqualTo(result.memory().bytesWritten());
        }
    }

    @Test
    void aPreparedCaptureIsUndoneByClosingItAndTakenOnlyOnce() throws IOException {
        capture(NEXT).prepare().close();
        assertNothingLeft();
        try (PreparedCapture prepared = capture(NEXT).prepare(); CapturedSnapshot once = prepared.capture(machine)) {
            assertThatThrownBy(() -> prepared.capture(machine)).isInstanceOf(IllegalStateException.class);
            once.publish();
            assertThatThrownBy(once::publish).isInstanceOf(IllegalStateException.class);
        }
        assertRestores(NEXT);
    }

    private Capture capture(SnapshotId id) {
        return Capture.of(store, id, guest).tracker(tracker);
    }

    private void write(int page, int value) {
        guest.bytes().asSlice((long) page * PAGE, PAGE).fill((byte) value);
        tracker.markWritten((long) page * PAGE, PAGE);
    }

    private void zero(int page, int count) {
        guest.bytes().asSlice((long) page * PAGE, (long) count * PAGE).fill((byte) 0);
        tracker.markWritten((long) page * PAGE, (long) count * PAGE);
    }

    private void assertNothingLeft() throws IOException {
        assertThatThrownBy(() -> store.hold(NEXT)).isInstanceOf(NoSuchFileException.class);
        try (var staging = Files.list(directory.resolve("store/.staging"))) {
            assertThat(staging).isEmpty();
        }
    }

    private void assertRestores(SnapshotId id) throws IOException {
        assertRestores(store, id);
    }

    private void assertRestores(DirectoryStore from, SnapshotId id) throws IOException {
        try (RestoredSnapshot restored = Restore.of(from, id).verified().restore(RestoreEngine.LAZY)) {
            assertThat(restored.memory().mapping(0).mismatch(guest.bytes())).isEqualTo(-1);
        }
        try (StoredSnapshot held = from.hold(id)) {
            assertThat(Verification.of(held, 1, io.microsnap.core.Progress.NONE).isWhole()).isTrue();
        }
    }

    private interface Step {
        void run() throws IOException;
    }

    /** Counts what is asked of it, and fails where told. */
    private static final class Machine implements PausableMachine {
        private final List<String> calls = new ArrayList<>();
        private final java.util.Map<String, Throwable> failures = new java.util.HashMap<>();
        private Step whilePaused = () -> { };

        Machine failing(String call, Throwable failure) {
            failures.put(call, failure);
            return this;
        }

        @Override
        public void pause() throws IOException {
            called("pause");
        }

        @Override
        public List<MachineStateSection> saveState() throws IOException {
            called("state");
            whilePaused.run();
            return List.of(new MachineStateSection("clock", ByteBuffer.wrap(new byte[] {1, 2, 3})));
        }

        @Override
        public void resume() throws IOException {
            called("resume");
        }

        private void called(String call) throws IOException {
            calls.add(call);
            if (failures.containsKey(call)) {
                Machine.<IOException>sneak(failures.get(call));
            }
        }

        @SuppressWarnings("unchecked")
        private static <T extends Throwable> void sneak(Throwable thrown) throws T {
            throw (T) thrown;
        }
    }

    /** Reports in blocks, and remembers what it was told of them. */
    private static final class Blocks implements DirtySource {
        private static final int PAGES = 16;

        private final SourceOwnership ownership = new SourceOwnership();
        private final DirtyBitmap written = DirtyBitmap.of(LAYOUT, PAGES * PAGE);
        private final List<Long> changed = new ArrayList<>();
        private Runnable whenHarvested = () -> { };
        private long reported;
        private boolean armed;

        @Override
        public String name() {
            return "blocks";
        }

        @Override
        public GuestLayout layout() {
            return LAYOUT;
        }

        @Override
        public long blockBytes() {
            return written.blockBytes();
        }

        @Override
        public SourceOwnership ownership() {
            return ownership;
        }

        @Override
        public Set<WritePath> blindTo() {
            return Set.of();
        }

        @Override
        public void arm() {
            armed = true;
            written.clear();
        }

        @Override
        public void harvest(DirtyBitmap into) {
            whenHarvested.run();
            written.drainInto(into);
        }

        @Override
        public void learn(DirtyBitmap blocks, DirtyBitmap pages) {
            reported = blocks.count();
            try {
                pages.runs(0, (offset, lengthBytes) -> changed.add(offset));
            } catch (IOException impossible) {
                throw new AssertionError(impossible);
            }
        }

        @Override
        public void disarm() {
            written.clear();
        }

        @Override
        public void close() {
            written.clear();
        }
    }

    private final class FailingReader implements PageReader {
        private final long from;
        private final IOException failure;
        private final AtomicInteger reads = new AtomicInteger();

        FailingReader(long from, IOException failure) {
            this.from = from;
            this.failure = failure;
        }

        @Override
        public GuestLayout layout() {
            return LAYOUT;
        }

        @Override
        public void read(long imageOffset, MemorySegment destination) throws IOException {
            reads.incrementAndGet();
            if (imageOffset + destination.byteSize() > from) {
                throw failure;
            }
            guest.read(imageOffset, destination);
        }
    }
}
