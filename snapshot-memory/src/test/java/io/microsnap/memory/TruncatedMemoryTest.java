package io.microsnap.memory;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;

import io.microsnap.core.GuestLayout;
import io.microsnap.core.PageReader;
import io.microsnap.core.PausableMachine;
import io.microsnap.core.RangeConsumer;
import io.microsnap.core.SnapshotException;
import io.microsnap.core.SnapshotId;
import io.microsnap.core.internal.file.Access;
import io.microsnap.core.internal.file.GuestRam;
import io.microsnap.core.internal.file.Mapping;
import io.microsnap.core.internal.posix.Constants;
import io.microsnap.core.internal.posix.Descriptor;
import io.microsnap.core.internal.posix.Posix;
import io.microsnap.dirty.DirtyTracker;
import io.microsnap.memory.internal.image.MemoryWriter;
import io.microsnap.memory.internal.image.Zeros;
import io.microsnap.store.StoreOptions;
import io.microsnap.store.internal.DirectoryStore;
import java.io.IOException;
import java.lang.foreign.MemorySegment;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.List;
import org.junit.jupiter.api.AfterEach;
import org.junit.jupiter.api.BeforeEach;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;

/** RAM that is a mapped file, which somebody shortens while it is being captured: an exception, and nothing lost. */
final class TruncatedMemoryTest {
    private static final int PAGE = 4096;
    private static final long PAGES = 4096;
    private static final long KEPT_PAGES = 1000;
    private static final GuestLayout LAYOUT = GuestLayout.ofSingleRegion(PAGE, PAGES * PAGE);
    private static final SnapshotId BASE = new SnapshotId("base");
    private static final SnapshotId NEXT = new SnapshotId("next");
    private static final PausableMachine PAUSED = PausableMachine.pausedAlready(List.of());

    @TempDir
    private Path directory;
    private Descriptor file;
    private GuestRam ram;
    private DirectoryStore store;
    private final DirtyTracker tracker = DirtyTracker.ofMarks(LAYOUT);

    @BeforeEach
    void aGuestWhoseMemoryIsAFile() throws IOException {
        Constants constants = Posix.host().constants();
        file = Descriptor.open(Posix.host(), directory.resolve("ram"), constants.O_RDWR | constants.O_CREAT, 0600);
        file.truncate(LAYOUT.lengthBytes());
        ram = GuestRam.of(LAYOUT, Mapping.file(file, 0, LAYOUT.lengthBytes(), Access.SHARED_WRITE));
        store = DirectoryStore.openOrCreate(Posix.host(), directory.resolve("store"), StoreOptions.PRIVATE);
        fill(0, PAGES, 1);
    }

    @AfterEach
    void end() throws IOException {
        tracker.close();
        store.close();
        ram.close();
        file.close();
    }

    @Test
    void aFullCaptureEndsAndTheNextOneIsWhole() throws IOException {
        assertThatThrownBy(() -> Capture.of(store, BASE, shortened()).tracker(tracker).take(PAUSED))
                .satisfies(TruncatedMemoryTest::saysSo);
        assertNothingLeft();
        assertThat(tracker.parent()).isEmpty();

        grownBack();
        assertThat(Capture.of(store, BASE, reader()).tracker(tracker).take(PAUSED).kind()).isEqualTo(CaptureKind.FULL);
        assertRestores(BASE);
    }

    @Test
    void theEpochOfACaptureOfWhatChangedIsGivenBack() throws IOException {
        Capture.of(store, BASE, reader()).tracker(tracker).take(PAUSED);
        change();

        assertThatThrownBy(() -> Capture.of(store, NEXT, shortened()).tracker(tracker).take(PAUSED))
                .satisfies(TruncatedMemoryTest::saysSo);
        assertNothingLeft();

        grownBack();
        fill(20, 2, 9);
        fill(3000, 5, 10);
        CaptureResult next = Capture.of(store, NEXT, reader()).tracker(tracker).take(PAUSED);
        assertThat(next.memory().pagesOffered()).isEqualTo(7);
        assertRestores(NEXT);
    }

    @Test
    void aCaptureThatComparesEverythingEndsToo() throws IOException {
        Capture.of(store, BASE, reader()).tracker(tracker).take(PAUSED);
        change();
        tracker.invalidate("a test says so");

        assertThatThrownBy(() -> Capture.of(store, NEXT, shortened()).tracker(tracker).take(PAUSED))
                .satisfies(TruncatedMemoryTest::saysSo);
        assertNothingLeft();

        grownBack();
        fill(20, 2, 9);
        CaptureResult next = Capture.of(store, NEXT, reader()).tracker(tracker).take(PAUSED);
        assertThat(next.because()).contains("compared");
        assertThat(next.memory().pagesRecorded()).isEqualTo(2);
        assertRestores(NEXT);
    }

    @Test
    void whatWasCutOffBeforeItWasLookedAtIsNotTakenForZeros() throws IOException {
        Capture.of(store, BASE, reader()).tracker(tracker).take(PAUSED);
        change();
        file.truncate(KEPT_PAGES * PAGE);

        assertThatThrownBy(() -> Capture.of(store, NEXT, reader()).tracker(tracker).take(PAUSED))
                .isInstanceOf(SnapshotException.class).hasMessageContaining("truncated");
        assertThatThrownBy(() -> Capture.of(store, NEXT, reader()).kind(CaptureKind.FULL).take(PAUSED))
                .isInstanceOf(SnapshotException.class).hasMessageContaining("truncated");
        assertNothingLeft();
    }

    @Test
    void bytesThatTheKernelTakesStraightFromTheMappingAreMissedAsWell() throws IOException {
        Constants constants = Posix.host().constants();
        try (Descriptor plain = Descriptor.open(Posix.host(), directory.resolve("plain"),
                constants.O_RDWR | constants.O_CREAT, 0600)) {
            plain.truncate(LAYOUT.lengthBytes());
            MemoryWriter writer = MemoryWriter.into(plain, LAYOUT).zeros(Zeros.DENSE).startingAsZeros();
            assertThatThrownBy(() -> writer.everything(shortened())).satisfies(TruncatedMemoryTest::saysSo);
        }
    }

    private static void saysSo(Throwable failure) {
        assertThat(failure).isInstanceOf(SnapshotException.class).hasMessageContaining("guest memory")
                .hasMessageContaining("truncated").hasMessageContaining("image offset");
    }

    /** Pages on both sides of where the file will end. */
    private void change() throws IOException {
        fill(20, 2, 9);
        fill(3000, 5, 10);
        tracker.markWritten(20 * PAGE, 2 * PAGE);
        tracker.markWritten(3000 * PAGE, 5 * PAGE);
    }

    private void fill(long page, long count, int value) {
        ram.mapping(0).asSlice(page * PAGE, count * PAGE).fill((byte) value);
    }

    private void grownBack() throws IOException {
        file.truncate(LAYOUT.lengthBytes());
        fill(KEPT_PAGES, PAGES - KEPT_PAGES, 1);
    }

    private PageReader reader() {
        return ram.reader();
    }

    /** Reads the memory, whose file is shortened once the capture has begun and knows what is populated. */
    private PageReader shortened() {
        PageReader reader = reader();
        return new PageReader() {
            @Override
            public GuestLayout layout() {
                return LAYOUT;
            }

            @Override
            public MemorySegment view(long imageOffset, long lengthBytes) {
                return reader.view(imageOffset, lengthBytes);
            }

            @Override
            public void read(long imageOffset, MemorySegment destination) throws IOException {
                reader.read(imageOffset, destination);
            }

            @Override
            public void populated(long imageOffset, long lengthBytes, RangeConsumer ranges) throws IOException {
                file.truncate(KEPT_PAGES * PAGE);
                ranges.accept(imageOffset, lengthBytes);
            }

            @Override
            public boolean mayBeTruncated() {
                return reader.mayBeTruncated();
            }
        };
    }

    private void assertNothingLeft() throws IOException {
        try (var staging = Files.list(directory.resolve("store/.staging"))) {
            assertThat(staging).isEmpty();
        }
    }

    private void assertRestores(SnapshotId id) throws IOException {
        try (RestoredSnapshot restored = Restore.of(store, id).verified().restore(RestoreEngine.LAZY)) {
            assertThat(restored.memory().mapping(0).mismatch(ram.mapping(0))).isEqualTo(-1);
        }
    }
}
