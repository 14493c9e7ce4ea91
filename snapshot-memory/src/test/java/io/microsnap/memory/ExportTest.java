package io.microsnap.memory;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;

import io.microsnap.core.DamagedException;
import io.microsnap.core.GuestLayout;
import io.microsnap.core.IfExists;
import io.microsnap.core.MachineStateSection;
import io.microsnap.core.PausableMachine;
import io.microsnap.core.SnapshotId;
import io.microsnap.core.internal.file.Extents;
import io.microsnap.core.internal.posix.Descriptor;
import io.microsnap.core.internal.posix.Posix;
import io.microsnap.dirty.DirtyTracker;
import io.microsnap.store.StoreOptions;
import io.microsnap.store.internal.DirectoryStore;
import io.microsnap.store.internal.SnapshotDescription;
import io.microsnap.store.internal.SnapshotFile;
import io.microsnap.store.internal.SnapshotFiles;
import io.microsnap.store.internal.SnapshotKind;
import io.microsnap.store.internal.StoredManifest;
import io.microsnap.store.internal.StoredSnapshot;
import io.microsnap.testsupport.FileSystemKind;
import io.microsnap.testsupport.RealFileSystems;
import java.io.IOException;
import java.io.RandomAccessFile;
import java.lang.foreign.ValueLayout;
import java.nio.ByteBuffer;
import java.nio.channels.FileChannel;
import java.nio.file.FileAlreadyExistsException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.List;
import java.util.Optional;

/** What is taken out of a store is the guest that was captured, and nothing that was there is lost. */
final class ExportTest {
    private static final int PAGE = 4096;
    private static final GuestLayout LAYOUT = GuestLayout.ofSingleRegion(PAGE, 64 * PAGE);
    private static final SnapshotId BASE = new SnapshotId("base");
    private static final SnapshotId DIFF = new SnapshotId("diff");
    private static final SnapshotId FLAT = new SnapshotId("flat");
    private static final MachineStateSection SECTION = new MachineStateSection("cpu", ByteBuffer.wrap(new byte[300]));
    private static final PausableMachine PAUSED = PausableMachine.pausedAlready(List.of(SECTION));

    private final InMemoryPageReader guest = InMemoryPageReader.of(LAYOUT);

    @RealFileSystems
    void aFileIsReplacedOnlyIfThatIsAskedFor(Path directory) throws IOException {
        Path file = Files.writeString(directory.resolve("plain"), "somebody's");
        try (DirectoryStore store = chain(directory); StoredSnapshot held = store.hold(DIFF)) {
            assertThatThrownBy(() -> Export.of(held).toFile(file, IfExists.REFUSE))
                    .isInstanceOf(FileAlreadyExistsException.class);
            assertThat(file).hasContent("somebody's");

            Export.of(held).toFile(file, IfExists.REPLACE);
            assertThat(file).hasBinaryContent(guest.bytes().toArray(ValueLayout.JAVA_BYTE));
        }
    }

    @RealFileSystems
    void aFlatSnapshotIsTheSameMomentAndNeedsNoBase(Path directory) throws IOException {
        try (DirectoryStore store = chain(directory)) {
            StoredManifest diff;
            StoredManifest flat;
            try (StoredSnapshot held = store.hold(DIFF)) {
                diff = held.manifest();
                flat = StoredManifest.of(Export.of(held).toSnapshot(store, FLAT, IfExists.REFUSE));
            }
            SnapshotDescription was = diff.description();
            assertThat(was.parent()).isPresent();
            assertThat(flat.description()).isEqualTo(new SnapshotDescription(SnapshotKind.FULL, LAYOUT, was.parent(),
                    Optional.empty(), was.image(), was.bakedByVersion(), was.labels(), was.requires()));
            assertThat(flat.attachments()).containsExactly("disk");
            assertThat(flat.files()).extracting(SnapshotFile::name).contains(SnapshotFiles.MACHINE)
                    .doesNotContain(SnapshotFiles.PAGE_MAP);
            store.delete(DIFF);
            store.delete(BASE);
            try (RestoredSnapshot restored = Restore.of(store, FLAT).verified().restore(RestoreEngine.LAZY)) {
                assertThat(restored.memory().mapping(0).mismatch(guest.bytes())).isEqualTo(-1);
                assertThat(restored.machineState()).isEqualTo(List.of(SECTION));
                try (FileChannel disk = restored.attachment("disk")) {
                    assertThat(disk.size()).isEqualTo(5);
                }
            }
        }
    }

    @RealFileSystems
    void aDamagedImageIsNotHandedOutUnlessUnchecked(Path directory) throws IOException {
        Path file = directory.resolve("plain");
        try (DirectoryStore store = chain(directory)) {
            // Page 50 is a hole in all of them, 30 the base's and 20 the diff's.
            for (int page : new int[] {50, 30, 20}) {
                SnapshotId holder = page == 20 ? DIFF : BASE;
                Path image = directory.resolve("store").resolve(holder.name()).resolve(SnapshotFiles.MEMORY);
                assertThat(image.toFile().setWritable(true)).isTrue();
                byte before = put(image, page * PAGE + 9, (byte) 7);
                try (StoredSnapshot held = store.hold(DIFF)) {
                    String address = "0x" + Long.toHexString((long) page * PAGE);
                    assertThatThrownBy(() -> Export.of(held).toFile(file, IfExists.REFUSE))
                            .isInstanceOf(DamagedException.class).hasMessageContaining(address)
                            .hasMessageContaining(holder.name() + " holds");
                    assertThat(file).doesNotExist();
                    assertThatThrownBy(() -> Export.of(held).threads(2).toSnapshot(store, FLAT, IfExists.REFUSE))
                            .isInstanceOf(DamagedException.class).hasMessageContaining(address);
                    Export.of(held).unchecked().toFile(file, IfExists.REFUSE);
                    assertThat(Files.readAllBytes(file)[page * PAGE + 9]).isEqualTo((byte) 7);
                }
                Files.delete(file);
                put(image, page * PAGE + 9, before);
            }
            assertThat(store.list()).as("nothing was published").hasSize(2);
            try (StoredSnapshot held = store.hold(DIFF)) {
                Export.of(held).threads(2).toFile(file, IfExists.REFUSE);
            }
            assertThat(file).hasBinaryContent(guest.bytes().toArray(ValueLayout.JAVA_BYTE));
        }
    }

    @RealFileSystems
    void aPageThatWasLostAndReadsAsAHoleIsNotHandedOut(Path directory) throws IOException {
        Path file = directory.resolve("plain");
        try (DirectoryStore store = chain(directory)) {
            Path image = directory.resolve("store/base").resolve(SnapshotFiles.MEMORY);
            assertThat(image.toFile().setWritable(true)).isTrue();
            Posix posix = Posix.host();
            try (Descriptor open = Descriptor.open(posix, image, posix.constants().O_RDWR, 0)) {
                assertThat(Extents.punch(open, 30 * PAGE, 4 * PAGE)).isTrue();
            }
            try (StoredSnapshot held = store.hold(DIFF)) {
                assertThatThrownBy(() -> Export.of(held).toFile(posix, file, IfExists.REFUSE))
                        .isInstanceOf(DamagedException.class).hasMessageContaining("4 of 64 pages");
            }
            assertThat(file).doesNotExist();
        }
    }

    @RealFileSystems({FileSystemKind.EXT4, FileSystemKind.XFS})
    void aDamagedAttachmentIsNotHandedOut(Path directory) throws IOException {
        Path file = directory.resolve("again");
        try (DirectoryStore store = chain(directory); StoredSnapshot held = store.hold(DIFF)) {
            Export.of(held).attachmentToFile("disk", file, IfExists.REFUSE);
            assertThat(file).hasContent("bytes");
            Path attached = directory.resolve("store/diff/attachments/disk");
            assertThat(attached.toFile().setWritable(true)).isTrue();
            put(attached, 2, (byte) '!');
            assertThatThrownBy(() ->
                    Export.of(held).attachmentToFile("disk", file, IfExists.REPLACE))
                    .isInstanceOf(DamagedException.class).hasMessageContaining("again");
            assertThat(file).hasContent("bytes");
            assertThatThrownBy(() -> Export.of(held).toSnapshot(store, FLAT, IfExists.REFUSE))
                    .isInstanceOf(DamagedException.class).hasMessageContaining("disk");
        }
    }

    @RealFileSystems(FileSystemKind.EXT4)
    void nothingIsWrittenIntoAStore(Path directory) throws IOException {
        try (DirectoryStore store = chain(directory); StoredSnapshot held = store.hold(DIFF)) {
            for (String place : new String[] {"store/out", "store/diff/out", "store/.staging/out"}) {
                assertThatThrownBy(() -> Export.of(held).toFile(directory.resolve(place),
                        IfExists.REFUSE)).hasMessageContaining("would lie in a store of snapshots");
                assertThat(directory.resolve(place)).doesNotExist();
            }
        }
    }

    /** Changes a byte and returns what it was. */
    private static byte put(Path file, long offset, byte value) throws IOException {
        try (RandomAccessFile open = new RandomAccessFile(file.toFile(), "rw")) {
            open.seek(offset);
            byte before = open.readByte();
            open.seek(offset);
            open.write(value);
            return before;
        }
    }

    private DirectoryStore chain(Path directory) throws IOException {
        DirectoryStore store =
                DirectoryStore.openOrCreate(Posix.host(), directory.resolve("store"), StoreOptions.PRIVATE);
        Path disk = Files.writeString(directory.resolve("disk"), "bytes");
        try (DirtyTracker tracker = DirtyTracker.ofMarks(LAYOUT)) {
            guest.bytes().asSlice(3 * PAGE, 40 * PAGE).fill((byte) 1);
            Capture.of(store, BASE, guest).tracker(tracker).take(PAUSED);
            guest.bytes().asSlice(20 * PAGE, 2 * PAGE).fill((byte) 2);
            tracker.markWritten(20 * PAGE, 2 * PAGE);
            Capture.of(store, DIFF, guest).tracker(tracker).kind(CaptureKind.DIFF).attach("disk", disk)
                    .imageName("debian").bakerVersion("7").label("team", "storage").take(PAUSED);
        }
        return store;
    }
}
