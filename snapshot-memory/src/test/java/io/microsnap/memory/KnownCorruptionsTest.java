package io.microsnap.memory;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;

import io.microsnap.core.GuestLayout;
import io.microsnap.core.PausableMachine;
import io.microsnap.core.Progress;
import io.microsnap.core.Region;
import io.microsnap.core.SnapshotId;
import io.microsnap.core.internal.file.Extents;
import io.microsnap.core.internal.posix.Descriptor;
import io.microsnap.core.internal.posix.Posix;
import io.microsnap.dirty.DirtyTracker;
import io.microsnap.store.StoreOptions;
import io.microsnap.store.internal.DirectoryStore;
import io.microsnap.store.internal.StoredSnapshot;
import io.microsnap.testsupport.RealFileSystems;
import io.microsnap.testsupport.TinyFileSystem;
import java.io.IOException;
import java.lang.foreign.MemorySegment;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.List;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;

/** Ways in which other systems have lost or mixed up guest memory; none of them works here. */
final class KnownCorruptionsTest {
    private static final int PAGE = 4096;
    private static final SnapshotId BASE = new SnapshotId("base");
    private static final SnapshotId NEXT = new SnapshotId("next");
    private static final PausableMachine PAUSED = PausableMachine.pausedAlready(List.of());

    @RealFileSystems
    void aDiffOfAGuestWithSeveralSlotsPutsEachPageWhereItsSlotLiesInTheImage(Path on) throws IOException {
        long high = 4L << 30;
        GuestLayout layout = GuestLayout.of(PAGE, List.of(new Region(0, 64 * PAGE), new Region(high, 64 * PAGE)));
        InMemoryPageReader guest = filled(layout);
        try (DirectoryStore store = open(on); DirtyTracker tracker = DirtyTracker.ofMarks(layout)) {
            Capture.of(store, BASE, guest).tracker(tracker).take(PAUSED);
            long offset = layout.imageOffsetOf(high + 3 * PAGE);
            guest.bytes().asSlice(offset, PAGE).fill((byte) 99);
            tracker.markWritten(offset, PAGE);
            Capture.of(store, NEXT, guest).tracker(tracker).kind(CaptureKind.DIFF).take(PAUSED);

            try (RestoredSnapshot restored = Restore.of(store, NEXT).restore(RestoreEngine.LAZY)) {
                assertThat(restored.memory().mapping(1).asSlice(3 * PAGE, PAGE).mismatch(
                        guest.bytes().asSlice(offset, PAGE))).isEqualTo(-1);
                assertThat(restored.memory().mapping(0).mismatch(guest.bytes().asSlice(0, 64 * PAGE))).isEqualTo(-1);
            }
        }
    }

    @RealFileSystems
    void aPageThatBecameZeroIsNotTakenForOneThatDidNotChange(Path on) throws IOException {
        GuestLayout layout = GuestLayout.ofSingleRegion(PAGE, 128 * PAGE);
        for (CaptureKind kind : List.of(CaptureKind.DIFF, CaptureKind.AUTOMATIC)) {
            InMemoryPageReader guest = filled(layout);
            try (DirectoryStore store = open(Files.createDirectory(on.resolve(kind.name())));
                    DirtyTracker tracker = DirtyTracker.ofMarks(layout)) {
                Capture.of(store, BASE, guest).tracker(tracker).take(PAUSED);
                guest.bytes().asSlice(10 * PAGE, 40 * PAGE).fill((byte) 0);
                guest.bytes().asSlice(100 * PAGE, PAGE).fill((byte) 0);
                tracker.markWritten(10 * PAGE, 40 * PAGE);
                tracker.markWritten(100 * PAGE, PAGE);
                Capture.of(store, NEXT, guest).tracker(tracker).kind(kind).take(PAUSED);
                assertRestores(store, NEXT, guest.bytes());
            }
        }
    }

    @RealFileSystems
    void aGuestThatWasRestoredLazilyAndIsCapturedAgainKeepsThePagesItNeverRead(Path on) throws IOException {
        GuestLayout layout = GuestLayout.ofSingleRegion(PAGE, 512 * PAGE);
        InMemoryPageReader guest = filled(layout);
        try (DirectoryStore store = open(on); DirtyTracker tracker = DirtyTracker.ofMarks(layout)) {
            Capture.of(store, BASE, guest).tracker(tracker).take(PAUSED);
            guest.bytes().asSlice(300 * PAGE, 5 * PAGE).fill((byte) 88);
            tracker.markWritten(300 * PAGE, 5 * PAGE);
            Capture.of(store, NEXT, guest).tracker(tracker).kind(CaptureKind.DIFF).take(PAUSED);
            for (CaptureKind kind : List.of(CaptureKind.FULL, CaptureKind.DIFF)) {
                try (RestoredSnapshot restored = Restore.of(store, NEXT).restore(RestoreEngine.LAZY);
                        DirtyTracker knows = restored.tracker()) {
                    restored.memory().mapping(0).asSlice(7 * PAGE, PAGE).fill((byte) 77);
                    SnapshotId again = new SnapshotId("again-" + kind);
                    Capture.of(store, again, restored.reader()).tracker(knows).kind(kind).take(PAUSED);

                    MemorySegment expected = InMemoryPageReader.of(layout).bytes().copyFrom(guest.bytes());
                    expected.asSlice(7 * PAGE, PAGE).fill((byte) 77);
                    assertRestores(store, again, expected);
                }
            }
        }
    }

    @RealFileSystems
    void aCaptureNeverWritesIntoAFileThatAnotherMachineHasMapped(Path on) throws IOException {
        GuestLayout layout = GuestLayout.ofSingleRegion(PAGE, 128 * PAGE);
        InMemoryPageReader guest = filled(layout);
        MemorySegment before = InMemoryPageReader.of(layout).bytes().copyFrom(guest.bytes());
        try (DirectoryStore store = open(on); DirtyTracker tracker = DirtyTracker.ofMarks(layout)) {
            Capture.of(store, BASE, guest).tracker(tracker).take(PAUSED);
            try (RestoredSnapshot neighbour = Restore.of(store, BASE).restore(RestoreEngine.LAZY)) {
                guest.bytes().fill((byte) 55);
                tracker.markWritten(0, layout.lengthBytes());
                Capture.of(store, NEXT, guest).tracker(tracker).take(PAUSED);
                assertThat(neighbour.memory().mapping(0).mismatch(before)).isEqualTo(-1);
            }
            assertRestores(store, BASE, before);
            assertRestores(store, NEXT, guest.bytes());
        }
    }

    @Test
    void aNearlyFullDiskIsAFailureAndNotAShorterSnapshot(@TinyFileSystem Path tiny) throws IOException {
        GuestLayout layout = GuestLayout.ofSingleRegion(PAGE, 16 << 20);
        InMemoryPageReader guest = filled(layout);
        try (DirectoryStore store = open(tiny)) {
            assertThatThrownBy(() -> Capture.of(store, BASE, guest).take(PAUSED))
                    .isInstanceOf(IOException.class).hasMessageContaining("ENOSPC");
            assertThat(store.list()).isEmpty();
        }
    }

    @RealFileSystems
    void pagesThatWereZeroedInTheStoreAreFoundBeforeTheyAreRestored(Path on) throws IOException {
        GuestLayout layout = GuestLayout.ofSingleRegion(PAGE, 128 * PAGE);
        InMemoryPageReader guest = filled(layout);
        try (DirectoryStore store = open(on)) {
            Capture.of(store, BASE, guest).take(PAUSED);
            try (Descriptor image = Descriptor.open(Posix.host(), on.resolve("store/base/memory.img"),
                    Posix.host().constants().O_RDWR, 0)) {
                assertThat(Extents.punch(image, 64 * PAGE, 16 * PAGE)).isTrue();
            }
            try (StoredSnapshot held = store.hold(BASE)) {
                Verification found = Verification.of(held, 1, Progress.NONE);
                assertThat(found.badCount()).isEqualTo(16);
                assertThat(found.firstBad().getFirst().imageOffset()).isEqualTo(64 * PAGE);
            }
            assertThatThrownBy(() -> Restore.of(store, BASE).verified().restore(RestoreEngine.LAZY))
                    .hasMessageContaining("base").hasMessageContaining("16 of 128");
        }
    }

    @Test
    void aNameIsNeverAPath(@TempDir Path on) throws IOException {
        for (String name : List.of("../outside", "/etc/passwd", "a/b", "..", ".staging", "", "a\0b")) {
            assertThatThrownBy(() -> new SnapshotId(name)).isInstanceOf(IllegalArgumentException.class);
        }
        Path overlay = Files.writeString(on.resolve("overlay"), "x");
        InMemoryPageReader guest = filled(GuestLayout.ofSingleRegion(PAGE, PAGE));
        try (DirectoryStore store = open(on)) {
            for (String name : List.of("../overlay", "/overlay", "a/b", ".hidden", "")) {
                assertThatThrownBy(() -> Capture.of(store, BASE, guest).attach(name, overlay))
                        .as(name).isInstanceOf(IllegalArgumentException.class);
            }
            assertThatThrownBy(() -> Capture.of(store, BASE, guest).attach("disk", overlay).attach("Disk", overlay))
                    .isInstanceOf(IllegalArgumentException.class).hasMessageContaining("Disk");
            assertThat(store.list()).isEmpty();
            assertThat(store.gc().removed()).isZero();
        }
    }

    private static DirectoryStore open(Path on) throws IOException {
        return DirectoryStore.openOrCreate(Posix.host(), on.resolve("store"), StoreOptions.PRIVATE);
    }

    private static InMemoryPageReader filled(GuestLayout layout) {
        InMemoryPageReader guest = InMemoryPageReader.of(layout);
        for (long page = 0; page < layout.pageCount(); page++) {
            guest.bytes().asSlice(page * PAGE, PAGE).fill((byte) (page % 50 + 1));
        }
        return guest;
    }

    private static void assertRestores(DirectoryStore store, SnapshotId id, MemorySegment expected) throws IOException {
        try (RestoredSnapshot lazy = Restore.of(store, id).verified().restore(RestoreEngine.LAZY);
                RestoredSnapshot eager = Restore.of(store, id).restore(RestoreEngine.EAGER)) {
            assertThat(lazy.memory().mapping(0).mismatch(expected)).isEqualTo(-1);
            assertThat(eager.memory().mapping(0).mismatch(expected)).isEqualTo(-1);
        }
    }
}
