package io.microsnap.memory;

import static org.assertj.core.api.Assertions.assertThat;

import io.microsnap.core.GuestLayout;
import io.microsnap.core.IfExists;
import io.microsnap.core.Progress;
import io.microsnap.core.SnapshotId;
import io.microsnap.core.internal.posix.Posix;
import io.microsnap.store.SnapshotEntry;
import io.microsnap.store.StoreOptions;
import io.microsnap.store.internal.DirectoryStore;
import io.microsnap.store.internal.StoredSnapshot;
import io.microsnap.testsupport.Effort;
import io.microsnap.testsupport.FileSystemKind;
import io.microsnap.testsupport.RealFileSystems;
import io.microsnap.testsupport.Seed;
import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.time.Duration;
import java.util.Arrays;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import java.util.SplittableRandom;
import org.junit.jupiter.api.Tag;

/** Random guests through generations of random writes and every way to capture and restore them. */
final class CampaignTest {
    private static final Posix POSIX = Posix.host();
    private static final int GENERATIONS = 10;
    private static final long USUALLY_LARGEST = 32L << 20;
    private static final long LARGEST = 96L << 20;

    private enum Engine { LAZY, FEW_MAPPINGS, EAGER, MEMFD }

    private static final List<Engine> ENGINES = List.of(Engine.values());

    @Tag("slow")
    @RealFileSystems
    void everyGenerationIsRestoredByteForByteByEveryEngine(Path on, FileSystemKind fileSystem, Seed seed)
            throws IOException {
        SplittableRandom random = seed.random();
        int guests = Effort.choose(2, 4, 75);
        for (int guest = 0; guest < guests; guest++) {
            long guestSeed = random.nextLong();
            Path directory = Files.createDirectory(on.resolve("guest-" + guest));
            try {
                new Life(new SplittableRandom(guestSeed), directory, fileSystem).live();
            } catch (IOException | RuntimeException | AssertionError failure) {
                throw new AssertionError(
                        "guest " + guest + " (its own seed " + guestSeed + "): " + failure.getMessage(), failure);
            }
            remove(directory);
        }
    }

    /** One guest, from its boot to the end of its last copy. */
    private static final class Life {
        private final SplittableRandom random;
        private final Path directory;
        private final FileSystemKind fileSystem;
        private final Map<SnapshotId, byte[]> generations = new LinkedHashMap<>();
        private DirectoryStore store;
        private SimulatedGuest guest;

        Life(SplittableRandom random, Path directory, FileSystemKind fileSystem) {
            this.random = random;
            this.directory = directory;
            this.fileSystem = fileSystem;
        }

        void live() throws IOException {
            long largest = random.nextInt(100) < 5 ? LARGEST : USUALLY_LARGEST;
            GuestLayout layout = SimulatedGuest.randomLayout(random, largest);
            try (DirectoryStore opened =
                    DirectoryStore.openOrCreate(POSIX, directory.resolve("store"), StoreOptions.PRIVATE)) {
                store = opened;
                guest = SimulatedGuest.booted(layout, block());
                try {
                    for (int generation = 0; generation < GENERATIONS; generation++) {
                        guest.run(random);
                        capture(new SnapshotId("g" + generation));
                        if (random.nextInt(3) == 0) {
                            goOnFromACopy();
                        }
                    }
                } finally {
                    guest.close();
                }
                for (SnapshotId id : generations.keySet()) {
                    for (Engine engine : Engine.values()) {
                        restoreAndCompare(id, engine);
                    }
                    assertWhole(id);
                }
                takeOut();
            }
        }

        private long block() {
            return random.nextBoolean() ? 0 : 4096L << random.nextInt(10);
        }

        private void capture(SnapshotId id) throws IOException {
            Capture capture = Capture.of(store, id, guest.reader()).threads(random.nextInt(1, 3));
            boolean tracked = random.nextInt(4) > 0;
            if (tracked) {
                capture.tracker(guest.tracker());
                if (random.nextInt(8) == 0) {
                    guest.tracker().invalidate("a test says so");
                }
            } else {
                // What the tracker does not learn now, it never learns.
                guest.tracker().invalidate("a capture was made without it");
                if (!generations.isEmpty() && random.nextInt(3) > 0) {
                    capture.base(List.copyOf(generations.keySet()).get(random.nextInt(generations.size())));
                }
            }
            switch (random.nextInt(4)) {
                case 0 -> capture.kind(CaptureKind.FULL);
                case 1 -> {
                    if (tracked && guest.tracker().parent().isPresent()) {
                        capture.kind(CaptureKind.DIFF);
                    }
                }
                default -> { }
            }
            byte[] expected = guest.content();
            boolean failsOnce = random.nextInt(5) == 0;
            if (failsOnce) {
                abandon(capture);
                guest.run(random);
                expected = guest.content();
            }
            if (tracked && random.nextInt(3) == 0) {
                // As many rounds as writes happen between: what the guest has after the last one is what is captured.
                int rounds = random.nextInt(1, 5);
                capture.copyAhead(CopyAhead.usual().rounds(rounds).enough(0).enough(Duration.ZERO)
                        .listener((round, written) -> {
                            guest.run(random);
                            return true;
                        }));
            }
            CaptureResult result = capture.take(guest);
            if (result.copiedAhead().isPresent()) {
                expected = guest.content();
            }
            assertThat(guest.resumes).isEqualTo(guest.pauses);
            assertThat(result.kind()).isNotEqualTo(CaptureKind.AUTOMATIC);
            if (!fileSystem.reflinks()) {
                assertThat(result.kind()).isNotEqualTo(CaptureKind.ONTO_BASE);
            }
            generations.put(id, expected);
            restoreAndCompare(id, ENGINES.get(random.nextInt(ENGINES.size())));
        }

        /** The pages that it held come back to the tracker, or the capture that follows lacks them. */
        private void abandon(Capture capture) throws IOException {
            int pauses = guest.pauses;
            try (PreparedCapture prepared = capture.prepare();
                    CapturedSnapshot captured = prepared.capture(guest)) {
                assertThat(guest.pauses).isEqualTo(pauses + 1);
                assertThat(guest.resumes).isEqualTo(guest.pauses);
                MemoryWritten written = captured.memory();
                assertThat(written.pagesRecorded()).isBetween(written.pagesZero(), written.pagesOffered());
            }
            assertThat(store.list()).extracting(SnapshotEntry::name)
                    .containsExactlyInAnyOrderElementsOf(names());
        }

        private List<String> names() {
            return generations.keySet().stream().map(SnapshotId::name).toList();
        }

        private void goOnFromACopy() throws IOException {
            List<SnapshotId> ids = List.copyOf(generations.keySet());
            SnapshotId id = ids.get(random.nextInt(ids.size()));
            Engine engine = ENGINES.get(random.nextInt(ENGINES.size()));
            guest.close();
            boolean lazy = engine == Engine.LAZY || engine == Engine.FEW_MAPPINGS;
            guest = SimulatedGuest.restored(restore(id, engine), lazy, block());
            assertThat(guest.content()).isEqualTo(generations.get(id));
        }

        private RestoredSnapshot restore(SnapshotId id, Engine engine) throws IOException {
            Restore restore = Restore.of(store, id).threads(random.nextInt(1, 3));
            if (random.nextBoolean()) {
                restore.verified();
            }
            return switch (engine) {
                case LAZY -> restore.restore(RestoreEngine.LAZY);
                case FEW_MAPPINGS -> restore.mostMappings(random.nextInt(6)).restore(RestoreEngine.LAZY);
                case EAGER -> restore.restore(RestoreEngine.EAGER);
                case MEMFD -> restore.restore(RestoreEngine.MEMFD);
            };
        }

        private void restoreAndCompare(SnapshotId id, Engine engine) throws IOException {
            try (RestoredSnapshot restored = restore(id, engine)) {
                SimulatedGuest copy = SimulatedGuest.restored(restored, false, 0);
                byte[] content = copy.content();
                int mismatch = Arrays.mismatch(content, generations.get(id));
                assertThat(mismatch).as("%s restored %s differs at", id, engine).isEqualTo(-1);
                assertThat(restored.machineState()).hasSize(1);
            }
        }

        private void assertWhole(SnapshotId id) throws IOException {
            try (StoredSnapshot held = store.hold(id)) {
                assertThat(Verification.of(held, 2, Progress.NONE).isWhole()).isTrue();
            }
        }

        private void takeOut() throws IOException {
            for (SnapshotId id : generations.keySet()) {
                Path file = directory.resolve("plain");
                try (StoredSnapshot held = store.hold(id)) {
                    Export.of(held).toFile(file, IfExists.REPLACE);
                }
                assertThat(Arrays.mismatch(Files.readAllBytes(file), generations.get(id))).isEqualTo(-1);
            }
            SnapshotId last = List.copyOf(generations.keySet()).getLast();
            SnapshotId flat = new SnapshotId("flat");
            try (StoredSnapshot held = store.hold(last)) {
                Export.of(held).toSnapshot(store, flat, IfExists.REFUSE);
            }
            generations.put(flat, generations.get(last));
            assertWhole(flat);
            restoreAndCompare(flat, Engine.LAZY);
        }
    }

    private static void remove(Path directory) throws IOException {
        try (var paths = Files.walk(directory)) {
            for (Path path : paths.sorted(java.util.Comparator.reverseOrder()).toList()) {
                Files.delete(path);
            }
        }
    }
}
