package io.microsnap.memory;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;

import io.microsnap.core.DamagedException;
import io.microsnap.core.GuestLayout;
import io.microsnap.core.IfExists;
import io.microsnap.core.IoMode;
import io.microsnap.core.PausableMachine;
import io.microsnap.core.SnapshotException;
import io.microsnap.core.SnapshotId;
import io.microsnap.core.internal.file.StorageFile;
import io.microsnap.core.internal.file.StorageOptions;
import io.microsnap.core.internal.posix.Posix;
import io.microsnap.core.testing.PageCache;
import io.microsnap.dirty.DirtyTracker;
import io.microsnap.memory.internal.reader.FileMemoryReader;
import io.microsnap.store.StoreOptions;
import io.microsnap.store.internal.DirectoryStore;
import io.microsnap.store.internal.StoredSnapshot;
import io.microsnap.testsupport.FileSystemKind;
import io.microsnap.testsupport.LoopDevice;
import io.microsnap.testsupport.RealFileSystems;
import io.microsnap.testsupport.Seed;
import java.io.IOException;
import java.io.RandomAccessFile;
import java.lang.foreign.Arena;
import java.lang.foreign.MemorySegment;
import java.lang.foreign.ValueLayout;
import java.nio.file.FileAlreadyExistsException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.List;
import java.util.SplittableRandom;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;

/** Past the page cache the same guest comes back, and the cache stays as it was. */
final class IoModeTest {
    private static final int PAGE = 4096;
    private static final int MIB = 1 << 20;
    private static final GuestLayout LAYOUT = GuestLayout.ofSingleRegion(PAGE, 12L * MIB + 3 * PAGE);
    private static final SnapshotId BASE = new SnapshotId("base");
    private static final SnapshotId TRACKED = new SnapshotId("tracked");
    private static final SnapshotId COMPARED = new SnapshotId("compared");
    private static final PausableMachine PAUSED = PausableMachine.pausedAlready(List.of());
    /**
     * Of some 50: index, map and manifest, and what the kernel itself was using when it was to be dropped. In
     * direct mode only the former.
     */
    private static final long LEFT_BYTES = 4L * MIB;

    private final InMemoryPageReader guest = InMemoryPageReader.of(LAYOUT);

    @TempDir
    Path temporary;

    @RealFileSystems
    void aChainIsCapturedRestoredAndExportedInEveryMode(Path directory, FileSystemKind kind, Seed seed)
            throws IOException {
        SplittableRandom random = seed.random();
        for (IoMode mode : IoMode.values()) {
            for (int threads = mode == IoMode.DIRECT ? 1 : 2; threads <= 2; threads++) {
                Path place = Files.createDirectory(directory.resolve(mode + "-" + threads));
                try (DirectoryStore store = open(place);
                        DirtyTracker tracker = DirtyTracker.ofMarks(LAYOUT)) {
                    scribble(random, 0, 5L * MIB, tracker);
                    scribble(random, 7L * MIB, 5L * MIB, tracker);
                    Capture.of(store, BASE, guest).io(mode).threads(threads).tracker(tracker).take(PAUSED);
                    restoresInEveryEngine(store, BASE, mode, threads);
                    for (int run = 0; run < 20; run++) {
                        scribble(random, random.nextLong(LAYOUT.pageCount() - 8) * PAGE, 8 * PAGE, tracker);
                    }
                    Capture.of(store, TRACKED, guest).io(mode).threads(threads).tracker(tracker).take(PAUSED);
                    restoresInEveryEngine(store, TRACKED, mode, threads);
                    scribble(random, 5 * PAGE, 3 * PAGE, tracker);
                    Capture.of(store, COMPARED, guest).io(mode).threads(threads).base(TRACKED).take(PAUSED);
                    restoresInEveryEngine(store, COMPARED, mode, threads);
                    exports(store, place.resolve("exported"), mode, threads);
                }
                boolean onDisk = kind == FileSystemKind.XFS || kind == FileSystemKind.EXT4;
                if (mode != IoMode.CACHED && onDisk) {
                    assertThat(PageCache.residentBytes(place)).as("%s", mode).isLessThan(LEFT_BYTES);
                }
            }
        }
    }

    private void restoresInEveryEngine(DirectoryStore store, SnapshotId id, IoMode mode, int threads)
            throws IOException {
        for (RestoreEngine engine : List.of(RestoreEngine.EAGER, RestoreEngine.MEMFD)) {
            Restore restore = Restore.of(store, id).io(mode).threads(threads);
            try (RestoredSnapshot restored = (engine == RestoreEngine.EAGER ? restore.verified() : restore)
                    .restore(engine)) {
                assertThat(restored.memory().mapping(0).mismatch(guest.bytes())).isEqualTo(-1);
            }
        }
    }

    private void exports(DirectoryStore store, Path file, IoMode mode, int threads) throws IOException {
        try (StoredSnapshot held = store.hold(COMPARED)) {
            Export.of(held).io(mode).threads(threads).toFile(file, IfExists.REFUSE);
        }
        requireGuest(file, mode);
    }

    private void requireGuest(Path file, IoMode mode) throws IOException {
        try (StorageFile written = StorageFile.open(Posix.host(), file, StorageOptions.READ.with(mode));
                Arena arena = Arena.ofConfined()) {
            MemorySegment content = arena.allocate(LAYOUT.lengthBytes(), PAGE);
            written.read(content, 0);
            assertThat(content.mismatch(guest.bytes())).isEqualTo(-1);
        }
    }

    @Test
    void aLazyRestoreIsThePageCache() throws IOException {
        try (DirectoryStore store = open(temporary)) {
            Capture.of(store, BASE, guest).take(PAUSED);
            assertThatThrownBy(() -> Restore.of(store, BASE).io(IoMode.UNCACHED).restore(RestoreEngine.LAZY))
                    .isInstanceOf(IllegalArgumentException.class).hasMessageContaining("uncached")
                    .hasMessageContaining("eagerly");
        }
    }

    @Test
    void aGuestGoesOntoADeviceAndIsBakedFromIt(@LoopDevice(sizeMiB = 16) Path device, Seed seed) throws IOException {
        try (DirectoryStore store = open(temporary); DirtyTracker tracker = DirtyTracker.ofMarks(LAYOUT)) {
            scribble(seed.random(), 2L * MIB, 3L * MIB, tracker);
            Capture.of(store, BASE, guest).take(PAUSED);
            for (IoMode mode : IoMode.values()) {
                fill(device);
                try (StoredSnapshot held = store.hold(BASE)) {
                    assertThatThrownBy(() -> Export.of(held).io(mode).toDevice(device, IfExists.REFUSE))
                            .isInstanceOf(FileAlreadyExistsException.class);
                    assertThat(Export.of(held).io(mode).toDevice(device, IfExists.REPLACE))
                            .isEqualTo(16L * MIB - LAYOUT.lengthBytes());
                }
                requireGuest(device, mode);
                try (StorageFile storage = StorageFile.open(Posix.host(), device, StorageOptions.READ.with(mode));
                        Arena arena = Arena.ofConfined()) {
                    MemorySegment behind = arena.allocate(PAGE);
                    storage.read(behind, LAYOUT.lengthBytes());
                    assertThat(behind.mismatch(arena.allocate(PAGE).fill((byte) 0x77))).isEqualTo(-1);
                    SnapshotId id = new SnapshotId("of-device-" + mode.label());
                    Capture.of(store, id, FileMemoryReader.of(storage, LAYOUT)).io(mode).take(PAUSED);
                    restoresInEveryEngine(store, id, mode, 2);
                }
            }
        }
    }

    @Test
    void whatIsNoDeviceOrTooSmallIsRefusedUnwritten(@LoopDevice(sizeMiB = 12) Path small) throws IOException {
        Path file = Files.writeString(temporary.resolve("file"), "somebody's");
        fill(small);
        try (DirectoryStore store = open(temporary)) {
            Capture.of(store, BASE, guest).take(PAUSED);
            try (StoredSnapshot held = store.hold(BASE)) {
                assertThatThrownBy(() -> Export.of(held).toDevice(small, IfExists.REPLACE))
                        .isInstanceOf(SnapshotException.class).hasMessageContaining("larger device");
                assertThatThrownBy(() -> Export.of(held).toDevice(file, IfExists.REPLACE))
                        .isInstanceOf(SnapshotException.class).hasMessageContaining("not a block device");
            }
        }
        assertThat(file).hasContent("somebody's");
        try (StorageFile storage = StorageFile.open(Posix.host(), small, StorageOptions.READ);
                Arena arena = Arena.ofConfined()) {
            MemorySegment first = arena.allocate(PAGE);
            storage.read(first, 0);
            assertThat(first.get(ValueLayout.JAVA_BYTE, 0)).isEqualTo((byte) 0x77);
        }
    }

    @RealFileSystems(FileSystemKind.XFS)
    void damageIsFoundInEveryMode(Path directory, Seed seed) throws IOException {
        try (DirectoryStore store = open(directory); DirtyTracker tracker = DirtyTracker.ofMarks(LAYOUT)) {
            scribble(seed.random(), 0, LAYOUT.lengthBytes(), tracker);
            Capture.of(store, BASE, guest).take(PAUSED);
            Path image = directory.resolve("store/base/memory.img");
            assertThat(image.toFile().setWritable(true)).isTrue();
            try (RandomAccessFile open = new RandomAccessFile(image.toFile(), "rw")) {
                open.seek(7 * PAGE + 5);
                open.write(~guest.bytes().get(ValueLayout.JAVA_BYTE, 7 * PAGE + 5));
            }
            for (IoMode mode : IoMode.values()) {
                assertThatThrownBy(() -> Restore.of(store, BASE).io(mode).verified().restore(RestoreEngine.EAGER))
                        .isInstanceOf(DamagedException.class);
            }
        }
    }

    private static DirectoryStore open(Path directory) throws IOException {
        return DirectoryStore.openOrCreate(Posix.host(), directory.resolve("store"), StoreOptions.PRIVATE);
    }

    private static void fill(Path device) throws IOException {
        try (StorageFile storage = StorageFile.open(Posix.host(), device, StorageOptions.WRITE);
                Arena arena = Arena.ofConfined()) {
            storage.write(arena.allocate(storage.sizeBytes()).fill((byte) 0x77), 0);
        }
    }

    private void scribble(SplittableRandom random, long offset, long lengthBytes, DirtyTracker tracker) {
        for (long at = offset; at < offset + lengthBytes; at += Long.BYTES) {
            guest.bytes().set(ValueLayout.JAVA_LONG, at, random.nextLong());
        }
        tracker.markWritten(offset, lengthBytes);
    }
}
