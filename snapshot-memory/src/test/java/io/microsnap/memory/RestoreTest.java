package io.microsnap.memory;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;

import io.microsnap.core.BusyException;
import io.microsnap.core.DamagedException;
import io.microsnap.core.GuestLayout;
import io.microsnap.core.GuestMemory;
import io.microsnap.core.HugePages;
import io.microsnap.core.MachineStateSection;
import io.microsnap.core.PausableMachine;
import io.microsnap.core.Progress;
import io.microsnap.core.Region;
import io.microsnap.core.SnapshotId;
import io.microsnap.core.internal.file.Access;
import io.microsnap.core.internal.file.Mapping;
import io.microsnap.core.internal.posix.Descriptor;
import io.microsnap.core.internal.posix.Errno;
import io.microsnap.core.internal.posix.Posix;
import io.microsnap.core.testing.FaultyPosix;
import io.microsnap.dirty.DirtyTracker;
import io.microsnap.dirty.Epoch;
import io.microsnap.dirty.WritePath;
import io.microsnap.memory.internal.image.ChunkedWork;
import io.microsnap.store.StoreOptions;
import io.microsnap.store.internal.DirectoryStore;
import io.microsnap.store.internal.PageIndex;
import io.microsnap.store.internal.PageMap;
import io.microsnap.store.internal.SnapshotDescription;
import io.microsnap.store.internal.SnapshotFiles;
import io.microsnap.store.internal.StagedSnapshot;
import io.microsnap.store.internal.StoredSnapshot;
import java.io.IOException;
import java.lang.foreign.MemorySegment;
import java.lang.foreign.ValueLayout;
import java.nio.ByteBuffer;
import java.nio.file.Files;
import java.nio.file.NoSuchFileException;
import java.nio.file.Path;
import java.nio.file.StandardOpenOption;
import java.nio.file.attribute.PosixFilePermissions;
import java.util.ArrayList;
import java.util.BitSet;
import java.util.List;
import org.junit.jupiter.api.AfterEach;
import org.junit.jupiter.api.BeforeEach;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.condition.EnabledOnOs;
import org.junit.jupiter.api.condition.OS;
import org.junit.jupiter.api.io.TempDir;

final class RestoreTest {
    private static final int PAGE = 4096;
    private static final long HIGH = 1L << 32;
    private static final GuestLayout LAYOUT =
            GuestLayout.of(PAGE, List.of(new Region(0, 200 * PAGE), new Region(HIGH, 56 * PAGE)));
    private static final SnapshotId BASE = new SnapshotId("base");
    private static final SnapshotId DIFF = new SnapshotId("diff");
    private static final SnapshotId TOP = new SnapshotId("top");
    private static final PausableMachine PAUSED = PausableMachine.pausedAlready(List.of());

    @TempDir
    private Path directory;
    private DirectoryStore store;
    private final InMemoryPageReader guest = InMemoryPageReader.of(LAYOUT);
    private final DirtyTracker tracker = DirtyTracker.ofMarks(LAYOUT);

    @BeforeEach
    void aChainOfThree() throws IOException {
        store = DirectoryStore.openOrCreate(Posix.host(), directory.resolve("store"), StoreOptions.PRIVATE);
        for (int page = 0; page < LAYOUT.pageCount(); page += 3) {
            write(page, page % 100 + 1);
        }
        capture(BASE);
        write(4, 100);
        write(7, 101);
        write(8, 102);
        write(220, 103);
        capture(DIFF);
        write(7, 0);
        write(100, 104);
        capture(TOP);
    }

    @AfterEach
    void closeStore() throws IOException {
        store.close();
    }

    @Test
    void everyEngineGivesTheSameMemoryInItsRegions() throws IOException {
        for (RestoredSnapshot restored : List.of(Restore.of(store, TOP)
                .restore(RestoreEngine.LAZY), Restore.of(store, TOP).restore(RestoreEngine.EAGER),
                Restore.of(store, TOP).restore(RestoreEngine.MEMFD), Restore.of(store, TOP).mostMappings(2)
                        .restore(RestoreEngine.LAZY),
                Restore.of(store, TOP).hugePages(HugePages.TRANSPARENT).threads(2).verified()
                        .restore(RestoreEngine.EAGER))) {
            try (restored) {
                assertThat(restored.memory().layout()).isEqualTo(LAYOUT);
                assertIsTheGuest(restored);
            }
        }
    }

    @Test
    @EnabledOnOs(value = OS.LINUX, disabledReason = "mappings are listed in /proc")
    void aLazyRestoreOfAChainTakesNoMoreMappingsThanItMay() throws IOException {
        for (int most = 0; most < 14; most++) {
            try (RestoredSnapshot restored = Restore.of(store, TOP).mostMappings(most).restore(RestoreEngine.LAZY)) {
                int mappings = mappingsOf(restored).size();
                // Five runs of one page each: all of them, or none.
                assertThat(mappings - 1).as("of %d", most).isLessThanOrEqualTo(most).isEqualTo(most < 10 ? 0 : 9);
                assertIsTheGuest(restored);
            }
        }
    }

    @Test
    void severalThreadsReadInTheRunsForWhichThereAreNoMappings() throws IOException {
        // Three chunks of work.
        GuestLayout layout = GuestLayout.ofSingleRegion(PAGE, 3 * ChunkedWork.CHUNK_BYTES - PAGE);
        try (GuestMemory sparse = GuestMemory.anonymous(layout, HugePages.NONE);
                DirtyTracker marks = DirtyTracker.ofMarks(layout)) {
            for (CaptureKind kind : List.of(CaptureKind.FULL, CaptureKind.DIFF)) {
                for (long offset = 0; offset < layout.lengthBytes(); offset += 500L * PAGE) {
                    sparse.mapping(0).set(ValueLayout.JAVA_LONG, offset, kind == CaptureKind.FULL ? -1 : offset + 1);
                    marks.markWritten(offset, Long.BYTES);
                }
                Capture.of(store, new SnapshotId("sparse-" + kind), sparse.reader()).tracker(marks).kind(kind)
                        .take(PAUSED);
            }
            try (RestoredSnapshot restored = Restore.of(store, new SnapshotId("sparse-DIFF")).mostMappings(0)
                    .threads(3).restore(RestoreEngine.LAZY)) {
                assertThat(restored.memory().mapping(0).mismatch(sparse.mapping(0))).isEqualTo(-1);
            }
        }
    }

    @Test
    @EnabledOnOs(value = OS.LINUX, disabledReason = "mappings are listed in /proc")
    void nothingIsReadAheadOfAnImageOfFewPages() throws IOException {
        try (RestoredSnapshot restored = Restore.of(store, TOP).restore(RestoreEngine.LAZY)) {
            for (String mapping : mappingsOf(restored)) {
                boolean random = mapping.substring(mapping.indexOf("VmFlags:")).contains(" rr");
                assertThat(random).as(mapping).isEqualTo(!mapping.contains("/base/"));
            }
        }
    }

    /** What the kernel tells of each mapping that a copy's memory is made of. */
    @Test
    @EnabledOnOs(value = OS.LINUX, disabledReason = "elsewhere holes are not told")
    void whatNoImageHoldsIsNotPopulatedInACopy() throws IOException {
        // Of a smaller guest it is asked first whether all of it is in memory anyway.
        GuestLayout layout = GuestLayout.ofSingleRegion(PAGE, 16 << 20);
        InMemoryPageReader sparse = InMemoryPageReader.of(layout);
        BitSet held = new BitSet();
        try (DirtyTracker marks = DirtyTracker.ofMarks(layout)) {
            for (int page = 200; page <= 3000; page += 200) {
                held.set(page);
                sparse.bytes().set(ValueLayout.JAVA_BYTE, (long) page * PAGE, (byte) 1);
                marks.markWritten((long) page * PAGE, PAGE);
                if (page % 1000 == 0) {
                    Capture.of(store, new SnapshotId("of-" + page), sparse).tracker(marks)
                            .kind(page == 1000 ? CaptureKind.FULL : CaptureKind.DIFF).take(PAUSED);
                }
            }
        }
        for (int pages : new int[] {2000, 3000}) {
            for (int most : new int[] {0, 100}) {
                try (RestoredSnapshot restored = Restore.of(store, new SnapshotId("of-" + pages))
                        .mostMappings(most).restore(RestoreEngine.LAZY)) {
                    BitSet populated = new BitSet();
                    restored.reader().populated(0, layout.lengthBytes(), (offset, length) ->
                            populated.set((int) (offset / PAGE), (int) ((offset + length) / PAGE)));
                    assertThat(populated).as("of %d pages, at most %d mappings", pages, most)
                            .isEqualTo(held.get(0, pages + 1));
                }
            }
        }
    }

    @Test
    void ofTheImageWithTheMostRunsNoneIsMappedByItself() throws IOException {
        // It is the ground, which is advised once, and only the base's parts are mapped over it.
        FaultyPosix faulty = FaultyPosix.host().at("madvise", 2).fails(Errno.EIO);
        try (DirectoryStore opened = DirectoryStore.open(faulty.posix(), directory.resolve("store"),
                StoreOptions.PRIVATE)) {
            Restore.of(opened, DIFF).restore(RestoreEngine.LAZY).close();
            assertThat(faulty.struck()).isFalse();
            assertThatThrownBy(() -> Restore.of(opened, TOP).restore(RestoreEngine.LAZY)).hasMessageContaining("EIO");
        }
    }

    private static List<String> mappingsOf(RestoredSnapshot restored) throws IOException {
        long start = restored.memory().mapping(0).address();
        List<String> mappings = new ArrayList<>();
        String all = Files.readString(Path.of("/proc/self/smaps"));
        for (String mapping : all.split("(?m)(?=^[0-9a-f]+-[0-9a-f]+ )", -1)) {
            if (mapping.isEmpty()) {
                continue;
            }
            long from = Long.parseUnsignedLong(mapping.substring(0, mapping.indexOf('-')), 16);
            if (from >= start && from < start + LAYOUT.lengthBytes()) {
                mappings.add(mapping);
            }
        }
        return mappings;
    }

    @Test
    void whatACopyWritesNeitherTheImageNorAnotherCopySees() throws IOException {
        byte[] image = Files.readAllBytes(directory.resolve("store/base/memory.img"));
        byte[] diff = Files.readAllBytes(directory.resolve("store/diff/memory.img"));
        try (RestoredSnapshot first = Restore.of(store, TOP).restore(RestoreEngine.LAZY);
                RestoredSnapshot second = Restore.of(store, TOP).restore(RestoreEngine.LAZY)) {
            first.memory().mapping(0).fill((byte) 0x55);
            first.memory().mapping(1).fill((byte) 0x55);
            assertIsTheGuest(second);
        }
        assertThat(Files.readAllBytes(directory.resolve("store/base/memory.img"))).isEqualTo(image);
        assertThat(Files.readAllBytes(directory.resolve("store/diff/memory.img"))).isEqualTo(diff);
    }

    @Test
    void aMemfdIsTheGuestsMemoryForEveryProcessThatMapsIt() throws IOException {
        try (RestoredSnapshot restored = Restore.of(store, TOP).restore(RestoreEngine.MEMFD)) {
            int number = restored.memory().memfd().orElseThrow();
            Path reopened = Path.of("/proc/self/fd", Integer.toString(number));
            try (Descriptor shared = Descriptor.open(Posix.host(), reopened, Posix.host().constants().O_RDWR, 0);
                    Mapping other = Mapping.file(shared, 0, LAYOUT.lengthBytes(), Access.SHARED_WRITE)) {
                assertThat(other.segment().mismatch(guest.bytes())).isEqualTo(-1);
                other.segment().set(ValueLayout.JAVA_BYTE, 5, (byte) 99);
                assertThat(restored.memory().mapping(0).get(ValueLayout.JAVA_BYTE, 5)).isEqualTo((byte) 99);
            }
        }
        try (RestoredSnapshot alone = Restore.of(store, TOP).restore(RestoreEngine.EAGER)) {
            assertThat(alone.memory().memfd()).isEmpty();
        }
    }

    @Test
    void theSnapshotAndItsBasesAreHeldUntilTheCopyIsClosed() throws IOException {
        RestoredSnapshot restored = Restore.of(store, TOP).restore(RestoreEngine.LAZY);
        assertThatThrownBy(() -> store.delete(TOP)).isInstanceOf(BusyException.class)
                .hasMessageContaining("is in use");
        restored.close();
        store.delete(TOP);
        store.delete(DIFF);
        store.delete(BASE);
    }

    @Test
    void memoryIsNeverUsedAfterItWasClosed() throws IOException {
        RestoredSnapshot restored = Restore.of(store, TOP).restore(RestoreEngine.LAZY);
        MemorySegment memory = restored.memory().mapping(0);
        restored.close();
        restored.close();
        assertThatThrownBy(() -> memory.get(ValueLayout.JAVA_BYTE, 0)).isInstanceOf(IllegalStateException.class);
    }

    @Test
    void theFirstEpochAfterALazyRestoreIsWhatWasWrittenAndNothingElse() throws IOException {
        try (RestoredSnapshot restored = Restore.of(store, TOP)
                .restore(RestoreEngine.LAZY); DirtyTracker knows = restored.tracker()) {
            MemorySegment low = restored.memory().mapping(0);
            assertThat(Restores.sum(low)).isNotZero();
            low.set(ValueLayout.JAVA_BYTE, 50 * PAGE, (byte) 1);
            restored.memory().mapping(1).set(ValueLayout.JAVA_BYTE, 20 * PAGE, (byte) 1);

            CaptureResult next = Capture.of(store, new SnapshotId("next"), restored.reader()).tracker(knows)
                    .take(PAUSED);

            assertThat(next.manifest().parent()).contains(restored.reference());
            assertThat(next.memory().pagesOffered()).isEqualTo(2);
        }
        try (RestoredSnapshot eager = Restore.of(store, TOP).restore(RestoreEngine.EAGER)) {
            assertThatThrownBy(eager::tracker).isInstanceOf(IllegalArgumentException.class)
                    .hasMessageContaining("dirty log");
        }
    }

    /** What a guest gives back reads as the image again: the caller that discards pages must mark them. */
    @Test
    void whatWasWrittenAndGivenBackIsNotSeenByTheCopysOwnTrackerAndThatIsSaid() throws IOException {
        try (RestoredSnapshot restored = Restore.of(store, TOP)
                .restore(RestoreEngine.LAZY); DirtyTracker knows = restored.tracker()) {
            assertThat(knows.blindTo())
                    .containsExactlyInAnyOrder(WritePath.OTHER_MAPPING, WritePath.FILE, WritePath.DISCARD);
            for (int page = 50; page < 52; page++) {
                restored.memory().mapping(0).set(ValueLayout.JAVA_BYTE, (long) page * PAGE, (byte) 1);
            }
            assertThat(Posix.host().madvise(restored.memory().mapping(0).address() + 50 * PAGE, PAGE,
                    Posix.host().constants().MADV_DONTNEED)).isZero();

            CaptureResult next = Capture.of(store, new SnapshotId("next"), restored.reader()).tracker(knows)
                    .take(PAUSED);

            assertThat(next.memory().pagesOffered()).isEqualTo(1);
        }
    }

    @Test
    void aCopyIsRenewedBeforeAnybodySeesIt() throws IOException {
        try (RestoredSnapshot restored = Restore.of(store, TOP).renewing(copy ->
                copy.memory().mapping(0).set(ValueLayout.JAVA_LONG, 0, 4711)).restore(RestoreEngine.LAZY)) {
            assertThat(restored.memory().mapping(0).get(ValueLayout.JAVA_LONG, 0)).isEqualTo(4711);
        }
        IOException refused = new IOException("no generation id");
        assertThatThrownBy(() -> Restore.of(store, TOP).renewing(copy -> {
            throw refused;
        }).restore(RestoreEngine.EAGER)).isSameAs(refused);
        InterruptedException sneaky = new InterruptedException("that no signature names");
        assertThatThrownBy(() -> Restore.of(store, TOP).renewing(
                copy -> RestoreTest.<RuntimeException>sneak(sneaky)).restore(RestoreEngine.LAZY)).isSameAs(sneaky);
        store.delete(TOP);
    }

    @Test
    void whatARenewalWritesIsInTheFirstEpoch() throws IOException {
        IdentityRenewal renewal = copy -> {
            copy.memory().mapping(1).fill((byte) 47);
            copy.markWritten(LAYOUT.imageOffset(1), LAYOUT.regions().get(1).lengthBytes());
        };
        IdentityRenewal unmarked = copy -> copy.memory().mapping(1).fill((byte) 47);
        for (RestoredSnapshot copy : List.of(Restore.of(store, TOP).renewing(renewal).restore(RestoreEngine.EAGER),
                Restore.of(store, TOP).renewing(renewal).restore(RestoreEngine.MEMFD),
                Restore.of(store, TOP).renewing(unmarked).restore(RestoreEngine.LAZY))) {
            SnapshotId id = new SnapshotId("renewed");
            try (copy; DirtyTracker knows = copy.tracker(new SeesNothing(LAYOUT))) {
                CaptureResult next = Capture.of(store, id, copy.reader()).tracker(knows).take(PAUSED);
                assertThat(next.memory().pagesOffered()).isEqualTo(56);
            }
            try (RestoredSnapshot again = Restore.of(store, id).verified().restore(RestoreEngine.LAZY)) {
                assertThat(again.memory().mapping(1).get(ValueLayout.JAVA_BYTE, 5)).isEqualTo((byte) 47);
            }
            store.delete(id);
        }
    }

    @Test
    void whatIsMarkedWithTheCopyIsKnownToItsTrackerBeforeAndAfterThatIsMade() throws IOException {
        try (RestoredSnapshot copy = Restore.of(store, TOP).restore(RestoreEngine.EAGER)) {
            copy.markWritten(3L * PAGE, 1);
            for (int round = 0; round < 2; round++) {
                // The second tracker begins with the snapshot again, and has to know what the first one knew.
                try (DirtyTracker knows = copy.tracker(new SeesNothing(LAYOUT))) {
                    copy.markWritten((5L + round) * PAGE, 2 * PAGE);
                    try (Epoch epoch = knows.harvest()) {
                        assertThat(epoch.relativeTo()).contains(copy.reference());
                        assertThat(epoch.bitmap().count()).isEqualTo(3 + round);
                        assertThat(epoch.bitmap().test(3L * PAGE)).isTrue();
                        assertThat(epoch.bitmap().test((6L + round) * PAGE)).isTrue();
                    }
                }
                copy.markWritten(5L * PAGE, 1);
            }
        }
    }

    @Test
    void aPageThatIsNotWhatWasCapturedIsFoundByOffsetAddressAndImage() throws IOException {
        damage("diff/memory.img", 220L * PAGE + 17);
        damage("base/memory.img", 9L * PAGE);

        try (StoredSnapshot held = store.hold(TOP)) {
            Verification found = Verification.of(held, 2, Progress.NONE);
            assertThat(found.badCount()).isEqualTo(2);
            assertThat(found.firstBad()).containsExactly(
                    new Verification.BadPage(9L * PAGE, 9L * PAGE, "base"),
                    new Verification.BadPage(220L * PAGE, HIGH + 20L * PAGE, "diff"));
        }
        Restore verified = Restore.of(store, TOP).verified();
        for (RestoreEngine engine : RestoreEngine.values()) {
            assertThatThrownBy(() -> verified.restore(engine)).isInstanceOf(DamagedException.class)
                    .hasMessageContaining("top").hasMessageContaining("0x9000").hasMessageContaining("base");
        }
        store.delete(TOP);
    }

    @Test
    void aZeroPageThatIsNoLongerZeroAndDataThatBecameAHoleAreFound() throws IOException {
        damage("base/memory.img", 1L * PAGE);
        try (StoredSnapshot held = store.hold(BASE)) {
            assertThat(Verification.of(held, 1, Progress.NONE).firstBad())
                    .extracting(Verification.BadPage::imageOffset).containsExactly(1L * PAGE);
        }
        Path image = writable("base/memory.img");
        try (Descriptor file = Descriptor.open(Posix.host(), image, Posix.host().constants().O_RDWR, 0)) {
            long bytes = file.sizeBytes();
            file.truncate(0);
            file.truncate(bytes);
        }
        try (StoredSnapshot held = store.hold(BASE)) {
            assertThat(Verification.of(held, 1, Progress.NONE).badCount()).isEqualTo((LAYOUT.pageCount() + 2) / 3);
        }
    }

    @Test
    void anImageIndexOrMapOfTheWrongLengthIsRefused() throws IOException {
        for (String file : List.of("diff/memory.img", "diff/memory.idx", "diff/memory.map")) {
            Path path = writable(file);
            byte[] whole = Files.readAllBytes(path);
            for (byte[] other : List.of(java.util.Arrays.copyOf(whole, whole.length - 1),
                    java.util.Arrays.copyOf(whole, whole.length + 1))) {
                Files.write(path, other);
                for (SnapshotId id : List.of(DIFF, TOP)) {
                    assertThatThrownBy(() -> Restore.of(store, id).restore(RestoreEngine.LAZY))
                            .as("%s of %d bytes", file, other.length)
                            .isInstanceOf(DamagedException.class).hasMessageContaining(path.toString());
                }
            }
            Files.write(path, whole);
        }
        Restore.of(store, TOP).verified().restore(RestoreEngine.LAZY).close();
    }

    @Test
    void aDiffWhoseGuestIsLaidOutOtherwiseThanItsBasesIsRefused() throws IOException {
        GuestLayout other = GuestLayout.ofSingleRegion(PAGE, LAYOUT.lengthBytes());
        SnapshotId id = new SnapshotId("other");
        try (StoredSnapshot base = store.hold(BASE); StagedSnapshot staged = store.stage(id)) {
            staged.create(SnapshotFiles.MEMORY).truncate(other.lengthBytes());
            try (PageIndex index = PageIndex.create(staged.create(SnapshotFiles.PAGE_INDEX), other);
                    PageMap map = PageMap.create(staged.create(SnapshotFiles.PAGE_MAP), other)) {
                index.finish();
                map.finish();
            }
            staged.publish(SnapshotDescription.diff(other, base.reference()));
        }
        assertThatThrownBy(() -> Restore.of(store, id).restore(RestoreEngine.LAZY)).isInstanceOf(DamagedException.class)
                .hasMessageContaining("other").hasMessageContaining("base");
    }

    @Test
    void whateverFileBesideMemoryIsDamagedIsFound() throws IOException {
        SnapshotId id = new SnapshotId("whole");
        Path disk = Files.writeString(directory.resolve("disk"), "as it was then");
        MachineStateSection section = new MachineStateSection("cpu", ByteBuffer.wrap(new byte[500]));
        Capture.of(store, id, guest).attach("disk", disk).take(PausableMachine.pausedAlready(List.of(section)));
        for (String file : List.of("machine.bin", "attachments/disk", "memory.idx")) {
            try (StoredSnapshot held = store.hold(id)) {
                assertThat(Verification.of(held, 1, Progress.NONE).isWhole()).isTrue();
            }
            Path path = writable("whole/" + file);
            byte[] before = Files.readAllBytes(path);
            damage("whole/" + file, before.length - 1);
            try (StoredSnapshot held = store.hold(id)) {
                assertThatThrownBy(() -> Verification.of(held, 1, Progress.NONE)).as(file)
                        .isInstanceOf(DamagedException.class).hasMessageContaining(path.getFileName().toString());
            }
            Files.write(path, before);
        }
    }

    @Test
    void anIndexOrMapOfWhichABitIsAnotherIsRefused() throws IOException {
        damage("diff/memory.map", 8192);
        assertThatThrownBy(() -> Restore.of(store, DIFF).restore(RestoreEngine.LAZY))
                .isInstanceOf(DamagedException.class)
                .hasMessageContaining("memory.map");
        damage("base/memory.idx", 8192);
        assertThatThrownBy(() -> Restore.of(store, BASE).verified().restore(RestoreEngine.LAZY))
                .isInstanceOf(DamagedException.class)
                .hasMessageContaining("memory.idx");
    }

    @Test
    void whatIsNotThereCannotBeRestored() {
        assertThatThrownBy(() -> Restore.of(store, new SnapshotId("absent")).restore(RestoreEngine.LAZY))
                .isInstanceOf(NoSuchFileException.class).hasMessageContaining("absent");
    }

    @Test
    void aRestoreThatFailsAtAnyCallLeavesNothingOpen() throws IOException {
        for (int engine = 0; engine < 3; engine++) {
            FaultyPosix counting = FaultyPosix.host();
            restoreThrough(counting, engine);
            for (int position = 1; position <= counting.calls(); position++) {
                FaultyPosix faulty = FaultyPosix.host().at(position).fails(Errno.EIO);
                try {
                    restoreThrough(faulty, engine);
                } catch (IOException expected) {
                    assertThat(expected).hasMessageNotContaining("null");
                }
                assertThat(faulty.openDescriptors()).as("engine %d, call %d", engine, position).isEmpty();
            }
        }
    }

    private void restoreThrough(FaultyPosix faulty, int engine) throws IOException {
        try (DirectoryStore opened = DirectoryStore.open(faulty.posix(), directory.resolve("store"),
                StoreOptions.PRIVATE)) {
            Restore restore = Restore.of(opened, TOP).through(faulty.posix()).verified();
            try (RestoredSnapshot restored = switch (engine) {
                case 0 -> restore.restore(RestoreEngine.LAZY);
                case 1 -> restore.restore(RestoreEngine.EAGER);
                default -> restore.restore(RestoreEngine.MEMFD);
            }) {
                assertIsTheGuest(restored);
            }
        }
    }

    private void capture(SnapshotId id) throws IOException {
        Capture.of(store, id, guest).tracker(tracker)
                .kind(id.equals(BASE) ? CaptureKind.FULL : CaptureKind.DIFF).take(PAUSED);
    }

    private void write(int page, int value) {
        guest.bytes().asSlice((long) page * PAGE, PAGE).fill((byte) value);
        tracker.markWritten((long) page * PAGE, PAGE);
    }

    private void assertIsTheGuest(RestoredSnapshot restored) {
        for (int region = 0; region < LAYOUT.regions().size(); region++) {
            MemorySegment expected = guest.bytes().asSlice(
                    LAYOUT.imageOffset(region), LAYOUT.regions().get(region).lengthBytes());
            assertThat(restored.memory().mapping(region).mismatch(expected)).isEqualTo(-1);
        }
    }

    private Path writable(String file) throws IOException {
        Path path = directory.resolve("store").resolve(file);
        Files.setPosixFilePermissions(path, PosixFilePermissions.fromString("rw-------"));
        return path;
    }

    private void damage(String file, long offset) throws IOException {
        try (var channel = Files.newByteChannel(writable(file), StandardOpenOption.READ, StandardOpenOption.WRITE)) {
            ByteBuffer one = ByteBuffer.allocate(1);
            channel.position(offset).read(one);
            one.put(0, (byte) (one.get(0) ^ 0x40)).rewind();
            channel.position(offset).write(one);
        }
    }

    @SuppressWarnings("unchecked")
    private static <T extends Throwable> void sneak(Throwable thrown) throws T {
        throw (T) thrown;
    }

    /** Reads everything, so that whatever only writing should do is not done by reading. */
    private static final class Restores {
        private Restores() {
        }

        static long sum(MemorySegment memory) {
            long sum = 0;
            for (long at = 0; at < memory.byteSize(); at += Long.BYTES) {
                sum += memory.get(ValueLayout.JAVA_LONG, at);
            }
            return sum;
        }
    }
}
