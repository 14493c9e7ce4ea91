package io.microsnap.memory;

import static org.assertj.core.api.Assertions.assertThat;

import io.microsnap.core.GuestLayout;
import io.microsnap.core.PausableMachine;
import io.microsnap.core.Progress;
import io.microsnap.core.SnapshotId;
import io.microsnap.core.internal.posix.Posix;
import io.microsnap.store.StoreOptions;
import io.microsnap.store.internal.DirectoryStore;
import io.microsnap.store.internal.StoredSnapshot;
import java.io.IOException;
import java.io.RandomAccessFile;
import java.nio.file.Path;
import java.util.Arrays;
import java.util.BitSet;
import java.util.List;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;

/** A base whose lost block happens to equal what the guest has now lends the new snapshot no wrong checksum. */
final class DamagedBaseTest {
    private static final int PAGE = 4096;
    private static final GuestLayout LAYOUT = GuestLayout.ofSingleRegion(PAGE, 64 * PAGE);
    private static final SnapshotId BASE = new SnapshotId("base");
    private static final SnapshotId NEXT = new SnapshotId("next");
    /** Pages that the storage loses: one among others, and all of a stretch, so that zeros and a hole are met. */
    private static final int[] LOST = {3, 20, 21, 22, 23};

    private static final PausableMachine STILL = PausableMachine.pausedAlready(List.of());

    @TempDir
    private Path directory;

    @Test
    void pagesThatTheBaseLostAreStoredAnewAndStayRightWhenItIsRepaired() throws IOException {
        InMemoryPageReader guest = InMemoryPageReader.of(LAYOUT);
        BitSet populated = new BitSet();
        for (int page : new int[] {2, 3, 4, 20, 21, 22, 23, 40}) {
            guest.bytes().asSlice((long) page * PAGE, PAGE).fill((byte) page);
            populated.set(page);
        }
        Path image = directory.resolve("store/base/memory.img");
        try (DirectoryStore store =
                DirectoryStore.openOrCreate(Posix.host(), directory.resolve("store"), StoreOptions.PRIVATE)) {
            Capture.of(store, BASE, new SparseReader(guest, populated, true)).take(STILL);
            write(image, LOST, 0);
            for (int page : LOST) {
                guest.bytes().asSlice((long) page * PAGE, PAGE).fill((byte) 0);
                populated.clear(page);
            }
            CaptureResult next = Capture.of(store, NEXT, new SparseReader(guest, populated, true)).base(BASE)
                    .take(STILL);
            assertThat(next.memory().pagesRecorded()).isEqualTo(LOST.length);
            try (StoredSnapshot held = store.hold(NEXT)) {
                assertThat(Verification.of(held, 1, Progress.NONE).isWhole()).as("born whole").isTrue();
            }
            write(image, LOST, -1);
            try (StoredSnapshot held = store.hold(NEXT); RestoredSnapshot restored = Restore.of(store, NEXT)
                    .restore(RestoreEngine.LAZY)) {
                assertThat(Verification.of(held, 1, Progress.NONE).isWhole()).as("after the repair").isTrue();
                assertThat(restored.memory().mapping(0).mismatch(guest.bytes()))
                        .isEqualTo(-1);
            }
        }
    }

    /** Each page with this byte, or with its own number. */
    private static void write(Path image, int[] pages, int content) throws IOException {
        assertThat(image.toFile().setWritable(true)).isTrue();
        try (RandomAccessFile file = new RandomAccessFile(image.toFile(), "rw")) {
            for (int page : pages) {
                byte[] bytes = new byte[PAGE];
                Arrays.fill(bytes, (byte) (content < 0 ? page : content));
                file.seek((long) page * PAGE);
                file.write(bytes);
            }
        }
    }
}
