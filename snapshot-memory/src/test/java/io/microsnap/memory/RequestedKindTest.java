package io.microsnap.memory;

import static org.assertj.core.api.Assertions.assertThat;

import io.microsnap.core.GuestLayout;
import io.microsnap.core.PausableMachine;
import io.microsnap.core.SnapshotId;
import io.microsnap.core.internal.posix.Posix;
import io.microsnap.store.StoreOptions;
import io.microsnap.store.internal.DirectoryStore;
import java.io.IOException;
import java.nio.file.Path;
import java.util.List;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;

/** The result of a capture says why it is of its kind, also where the caller chose the kind. */
final class RequestedKindTest {
    private static final int PAGE = 4096;
    private static final SnapshotId BASE = new SnapshotId("base");
    private static final PausableMachine STILL = PausableMachine.pausedAlready(List.of());

    @TempDir
    private Path directory;

    @Test
    void aRequestedKindIsTheReasonGiven() throws IOException {
        InMemoryPageReader guest = InMemoryPageReader.of(GuestLayout.ofSingleRegion(PAGE, 16 * PAGE));
        try (DirectoryStore store =
                DirectoryStore.openOrCreate(Posix.host(), directory.resolve("store"), StoreOptions.PRIVATE)) {
            CaptureResult full = Capture.of(store, BASE, guest).kind(CaptureKind.FULL).take(STILL);
            assertThat(full.because()).isEqualTo("a full capture was requested");

            CaptureResult diff = Capture.of(store, new SnapshotId("diff"), guest).base(BASE)
                    .kind(CaptureKind.DIFF).take(STILL);
            assertThat(diff.because()).contains("a diff was requested");
        }
    }
}
