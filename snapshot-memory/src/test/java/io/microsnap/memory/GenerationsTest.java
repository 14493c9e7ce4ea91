package io.microsnap.memory;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;
import static org.assertj.core.api.Assertions.fail;

import io.microsnap.core.GuestLayout;
import io.microsnap.core.IfExists;
import io.microsnap.core.PausableMachine;
import io.microsnap.core.SnapshotException;
import io.microsnap.core.SnapshotId;
import io.microsnap.core.internal.file.Extents;
import io.microsnap.core.internal.posix.Errno;
import io.microsnap.core.internal.posix.Posix;
import io.microsnap.core.internal.posix.SystemCallException;
import io.microsnap.core.testing.FaultyPosix;
import io.microsnap.dirty.DirtyTracker;
import io.microsnap.store.FragmentationPolicy;
import io.microsnap.store.StoreOptions;
import io.microsnap.store.internal.DirectoryStore;
import io.microsnap.store.internal.StoredSnapshot;
import io.microsnap.testsupport.Effort;
import io.microsnap.testsupport.FileSystemKind;
import io.microsnap.testsupport.RealFileSystems;
import io.microsnap.testsupport.Seed;
import java.io.IOException;
import java.lang.foreign.Arena;
import java.lang.foreign.MemorySegment;
import java.lang.foreign.ValueLayout;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.List;
import java.util.SplittableRandom;

/** A guest captured again and again: the policy keeps small what a capture costs and what a snapshot needs. */
final class GenerationsTest {
    private static final int PAGE = 4096;
    private static final long GUEST_BYTES = 64L << 20;
    private static final int PAGES = (int) (GUEST_BYTES / PAGE);
    private static final int CHANGED_PAGES = PAGES / 20;
    private static final GuestLayout LAYOUT = GuestLayout.ofSingleRegion(PAGE, GUEST_BYTES);
    private static final PausableMachine STANDING = PausableMachine.pausedAlready(List.of());
    private static final SnapshotId LATEST = new SnapshotId("latest");

    private final InMemoryPageReader guest = InMemoryPageReader.of(LAYOUT);
    private final DirtyTracker tracker = DirtyTracker.ofMarks(LAYOUT);
    private final byte[] writtenBy = new byte[PAGES];

    @RealFileSystems({FileSystemKind.EXT4, FileSystemKind.XFS, FileSystemKind.BTRFS})
    void generationsOfSinglePagesAreKeptAsThePolicySaysAndRestored(Path on, FileSystemKind fileSystem, Seed seed)
            throws IOException {
        SplittableRandom random = seed.random();
        long most = FragmentationPolicy.DEFAULT.mostExtentsToClone(GUEST_BYTES);
        int generations = Effort.choose(12, 40, 40);
        List<byte[]> written = new ArrayList<>();
        try (DirectoryStore store = open(on)) {
            boot();
            CaptureKind expected = CaptureKind.FULL;
            int diffs = 0;
            for (int generation = 0; generation < generations; generation++) {
                CaptureResult result = capture(store, id(generation)).take(STANDING);

                assertThat(result.kind()).as("%s: %s", id(generation), result.because()).isEqualTo(expected);
                written.add(writtenBy.clone());
                diffs = expected == CaptureKind.DIFF ? diffs + 1 : 0;
                if (diffs == 0 && fileSystem.reflinks() && extents(store, id(generation)) <= most) {
                    expected = CaptureKind.ONTO_BASE;
                } else if (diffs < FragmentationPolicy.DEFAULT.mostDiffs()) {
                    expected = CaptureKind.DIFF;
                } else {
                    expected = CaptureKind.FULL;
                }
                change(random, generation + 1);
            }
            for (int generation = 0; generation < generations; generation++) {
                assertRestores(store, id(generation), written.get(generation));
            }
        }
    }

    @RealFileSystems(FileSystemKind.XFS)
    void becauseNamesTheLimitThatWasReached(Path on, Seed seed) throws IOException {
        FragmentationPolicy tight = FragmentationPolicy.DEFAULT.withExtentsPerGiBToClone(2048).withMostDiffs(1);
        try (DirectoryStore store = open(on)) {
            boot();
            capture(store, id(0)).take(STANDING);
            for (int generation = 1; generation < 4; generation++) {
                change(seed.random(), generation);
                CaptureResult result = capture(store, id(generation)).fragmentation(tight).take(STANDING);
                assertThat(result.because()).contains(switch (generation) {
                    case 1 -> "the base g0 was cloned";
                    case 2 -> "the base g1 lies in more than 128 extents, the limit for cloning";
                    default -> "this would be diff 2 of a chain, and the limit is 1";
                });
            }
            change(seed.random(), 4);
            FragmentationPolicy loose = tight.withExtentsPerGiBToClone(Long.MAX_VALUE);
            assertThat(Capture.of(store, id(4), guest).base(id(1)).fragmentation(loose).take(STANDING).kind())
                    .isEqualTo(CaptureKind.ONTO_BASE);
            assertThat(Capture.of(store, id(5), guest).base(id(1)).fragmentation(tight.withMostDiffs(0))
                    .take(STANDING).kind()).isEqualTo(CaptureKind.FULL);
            assertThat(Capture.of(store, id(6), guest).base(id(1)).kind(CaptureKind.ONTO_BASE).fragmentation(tight)
                    .take(STANDING).kind()).as("what is asked for is done").isEqualTo(CaptureKind.ONTO_BASE);
            assertRestores(store, id(5), writtenBy);
        }
    }

    @RealFileSystems
    void oneIdIsReplacedForEverWhateverTheFilesystem(Path on, FileSystemKind fileSystem, Seed seed)
            throws IOException {
        try (DirectoryStore store = open(on)) {
            boot();
            for (int generation = 1; generation < 5; generation++) {
                CaptureResult result = capture(store, LATEST).ifExists(IfExists.REPLACE).take(STANDING);
                if (generation == 2) {
                    assertThat(result.kind()).isEqualTo(
                            fileSystem.reflinks() ? CaptureKind.ONTO_BASE : CaptureKind.FULL);
                    if (!fileSystem.reflinks()) {
                        assertThat(result.because()).contains("a diff would replace latest, which it needs");
                    }
                }
                assertThat(tracker.parent()).contains(result.reference());
                change(seed.random(), generation);
            }
            assertThatThrownBy(() -> capture(store, LATEST).kind(CaptureKind.DIFF).ifExists(IfExists.REPLACE).prepare())
                    .isInstanceOf(SnapshotException.class).hasMessageContaining("replace latest, which it would need");
            capture(store, id(1)).kind(CaptureKind.DIFF).take(STANDING);
            assertThatThrownBy(() -> capture(store, LATEST).ifExists(IfExists.REPLACE).prepare())
                    .isInstanceOf(SnapshotException.class).hasMessageContaining("the base g1 requires it");
        }
    }

    @RealFileSystems(FileSystemKind.EXT4)
    void aBaseInWhosePlaceIsAnotherIsReplacedToo(Path on) throws IOException {
        try (DirectoryStore store = open(on)) {
            boot();
            capture(store, LATEST).take(STANDING);
            Capture.of(store, LATEST, guest).ifExists(IfExists.REPLACE).take(STANDING);
            assertThat(capture(store, LATEST).ifExists(IfExists.REPLACE).take(STANDING).kind())
                    .isEqualTo(CaptureKind.FULL);
        }
    }

    @RealFileSystems({FileSystemKind.XFS, FileSystemKind.BTRFS})
    void aFilesystemThatCannotSayItsExtentsIsClonedOnAndOneThatFailsIsAnError(Path on, FileSystemKind fileSystem)
            throws IOException {
        FaultyPosix faulty = FaultyPosix.host();
        try (DirectoryStore store = DirectoryStore.openOrCreate(
                faulty.posix(), on.resolve("store"), StoreOptions.PRIVATE)) {
            boot();
            capture(store, id(0)).take(STANDING);
            int next = faulty.calls("ioctl") + 1;
            if (fileSystem == FileSystemKind.BTRFS) {
                faulty.at("ioctl", next).fails(Errno.EOPNOTSUPP);
                try (PreparedCapture prepared = capture(store, id(1)).prepare()) {
                    assertThat(prepared.kind()).isEqualTo(CaptureKind.ONTO_BASE);
                }
                next = faulty.calls("ioctl") + 1;
            }
            faulty.at("ioctl", next).fails(Errno.EIO);
            assertThatThrownBy(() -> capture(store, id(1)).prepare()).isInstanceOf(SystemCallException.class)
                    .hasMessageContaining("memory.img").hasMessageContaining("EIO");
            assertThat(capture(store, id(1)).take(STANDING).kind()).isEqualTo(CaptureKind.ONTO_BASE);
        }
        assertThat(faulty.openDescriptors()).isEmpty();
    }

    private Capture capture(DirectoryStore store, SnapshotId id) {
        return Capture.of(store, id, guest).tracker(tracker);
    }

    private static DirectoryStore open(Path on) throws IOException {
        return DirectoryStore.openOrCreate(Posix.host(), on.resolve("store"), StoreOptions.PRIVATE);
    }

    private static SnapshotId id(int generation) {
        return new SnapshotId("g" + generation);
    }

    private void boot() {
        for (int page = 0; page < PAGES; page++) {
            write(page, 0);
        }
    }

    private void change(SplittableRandom random, int generation) {
        for (int change = 0; change < CHANGED_PAGES; change++) {
            write(random.nextInt(PAGES), generation);
        }
    }

    private void write(int page, int generation) {
        writtenBy[page] = (byte) generation;
        fill(guest.bytes().asSlice((long) page * PAGE, PAGE), page, generation);
        tracker.markWritten((long) page * PAGE, PAGE);
    }

    private static void fill(MemorySegment bytes, int page, int generation) {
        bytes.fill((byte) (generation + 1));
        bytes.set(ValueLayout.JAVA_INT, 0, page);
    }

    /** By other means than the policy's. */
    private static long extents(DirectoryStore store, SnapshotId id) throws IOException {
        try (StoredSnapshot held = store.hold(id)) {
            return Extents.summary(held.image()).orElseThrow().extents();
        }
    }

    private static void assertRestores(DirectoryStore store, SnapshotId id, byte[] writtenBy) throws IOException {
        try (RestoredSnapshot restored = Restore.of(store, id).restore(RestoreEngine.LAZY);
                Arena arena = Arena.ofConfined()) {
            MemorySegment expected = arena.allocate(PAGE, PAGE);
            for (int page = 0; page < PAGES; page++) {
                fill(expected, page, writtenBy[page]);
                MemorySegment found = restored.memory().mapping(0).asSlice((long) page * PAGE, PAGE);
                if (found.mismatch(expected) >= 0) {
                    fail("%s differs in page %d", id, page);
                }
            }
        }
    }
}
