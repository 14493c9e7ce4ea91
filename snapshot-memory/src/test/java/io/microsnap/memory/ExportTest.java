package io.microsnap.memory;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;

import io.microsnap.core.GuestLayout;
import io.microsnap.core.MachineStateSection;
import io.microsnap.core.PausableMachine;
import io.microsnap.core.SnapshotId;
import io.microsnap.core.internal.file.IfExists;
import io.microsnap.core.internal.posix.Posix;
import io.microsnap.dirty.DirtyTracker;
import io.microsnap.store.HeldSnapshot;
import io.microsnap.store.IfTaken;
import io.microsnap.store.Manifest;
import io.microsnap.store.SnapshotDescription;
import io.microsnap.store.SnapshotFile;
import io.microsnap.store.SnapshotFiles;
import io.microsnap.store.SnapshotKind;
import io.microsnap.store.SnapshotStore;
import io.microsnap.store.StoreOptions;
import io.microsnap.testsupport.RealFileSystems;
import java.io.IOException;
import java.lang.foreign.ValueLayout;
import java.nio.ByteBuffer;
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
        try (SnapshotStore store = chain(directory); HeldSnapshot held = store.hold(DIFF)) {
            assertThatThrownBy(() -> Export.of(held).toFile(Posix.host(), file, IfExists.REFUSE))
                    .isInstanceOf(FileAlreadyExistsException.class);
            assertThat(file).hasContent("somebody's");

            Export.of(held).toFile(Posix.host(), file, IfExists.REPLACE);
            assertThat(file).hasBinaryContent(guest.bytes().toArray(ValueLayout.JAVA_BYTE));
        }
    }

    @RealFileSystems
    void aFlatSnapshotIsTheSameMomentAndNeedsNoBase(Path directory) throws IOException {
        try (SnapshotStore store = chain(directory)) {
            Manifest diff;
            Manifest flat;
            try (HeldSnapshot held = store.hold(DIFF)) {
                diff = held.manifest();
                flat = Export.of(held).toSnapshot(store, FLAT, IfTaken.REFUSE);
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
            try (RestoredSnapshot restored = Restore.of(store, FLAT).verified().lazily()) {
                assertThat(restored.memory().mapping(0).mismatch(guest.bytes())).isEqualTo(-1);
                assertThat(restored.machineState()).isEqualTo(List.of(SECTION));
                assertThat(restored.attachment("disk").sizeBytes()).isEqualTo(5);
            }
        }
    }

    private SnapshotStore chain(Path directory) throws IOException {
        SnapshotStore store =
                SnapshotStore.openOrCreate(Posix.host(), directory.resolve("store"), StoreOptions.PRIVATE);
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
