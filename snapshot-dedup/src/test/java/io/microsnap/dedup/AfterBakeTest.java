package io.microsnap.dedup;

import static io.microsnap.testsupport.FileSystemKind.BTRFS;
import static io.microsnap.testsupport.FileSystemKind.XFS;
import static org.assertj.core.api.Assertions.assertThat;

import io.microsnap.core.CancelledException;
import io.microsnap.core.internal.posix.Errno;
import io.microsnap.core.internal.posix.Posix;
import io.microsnap.core.internal.posix.SystemCallException;
import io.microsnap.core.testing.FaultyPosix;
import io.microsnap.dedup.DedupOutcome.Deduplicated;
import io.microsnap.dedup.DedupOutcome.Failed;
import io.microsnap.dedup.DedupOutcome.LeftAlone;
import io.microsnap.dedup.DedupOutcome.Reason;
import io.microsnap.dedup.internal.AfterBake;
import io.microsnap.store.StoreOptions;
import io.microsnap.store.internal.DirectoryStore;
import io.microsnap.store.internal.SnapshotFiles;
import io.microsnap.testsupport.ChildProcesses;
import io.microsnap.testsupport.RealFileSystems;
import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.time.Duration;
import java.util.ArrayList;
import java.util.List;
import java.util.Map;
import java.util.Optional;
import java.util.SplittableRandom;
import java.util.logging.Handler;
import java.util.logging.Level;
import java.util.logging.LogRecord;
import java.util.logging.Logger;
import jdk.jfr.Recording;
import jdk.jfr.consumer.RecordedEvent;
import jdk.jfr.consumer.RecordingFile;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;

/** What a VM manager sees of it: the outcome, the event, the log, the switch. */
class AfterBakeTest {
    private static final int LENGTH = 4 << 20;
    private static final String EVENT = "io.microsnap.SnapshotDeduplicated";

    private final byte[] guest = TwoImages.bytes(LENGTH, 1);
    private final byte[] like = Bakery.changed(guest, 5, new SplittableRandom(2));

    @Test
    void onlyZeroSwitchesItOff() {
        assertThat(AfterBake.usual(Map.of()).enabled()).isTrue();
        assertThat(AfterBake.usual(Map.of(AfterBake.SWITCH, "1")).enabled()).isTrue();
        assertThat(AfterBake.usual(Map.of(AfterBake.SWITCH, "0")).enabled()).isFalse();
    }

    @RealFileSystems(XFS)
    void codeSwitchesItOff(Path directory) throws IOException {
        try (DirectoryStore store = twoAlike(directory)) {
            assertThat(AfterBake.usual().enabled(false).with(DedupOptions.DEFAULTS)
                    .baked(store, Bakery.id("fresh"))).isEqualTo(new LeftAlone(
                            Reason.SWITCHED_OFF, "sharing after a bake is switched off", Optional.empty()));
            assertThat(AfterBake.usual().enabled(true).with(DedupOptions.DEFAULTS)
                    .baked(store, Bakery.id("fresh"))).isInstanceOf(Deduplicated.class);
        }
    }

    @RealFileSystems(XFS)
    void theEnvironmentSwitchesItOff(Path directory, ChildProcesses children) throws IOException {
        twoAlike(directory).close();
        assertThat(children.java(Map.of("MICROSNAP_AUTO_DEDUP", "0"), Baker.class, directory.toString())
                .awaitExit().output()).contains("SWITCHED_OFF");
        assertThat(children.java(Map.of("MICROSNAP_AUTO_DEDUP", "1"), Baker.class, directory.toString())
                .awaitExit().output()).contains("Deduplicated");
    }

    @RealFileSystems({XFS, BTRFS})
    void whenTheTimeIsUpItStops(Path directory) throws IOException {
        try (DirectoryStore store = twoAlike(directory)) {
            assertThat(AfterBake.usual().within(Duration.ZERO).baked(store, Bakery.id("fresh")))
                    .isInstanceOfSatisfying(LeftAlone.class, alone -> {
                        assertThat(alone.reason()).isEqualTo(Reason.OUT_OF_TIME);
                        assertThat(alone.explanation()).contains("after 0 ms");
                    });
            assertThat(Bakery.image(store, "fresh")).isEqualTo(like);
            assertThat(AfterBake.usual().baked(store, Bakery.id("fresh"))).isInstanceOf(Deduplicated.class);
        }
    }

    @RealFileSystems(XFS)
    void anInterruptStopsItAndTheThreadStaysInterrupted(Path directory) throws IOException {
        try (DirectoryStore store = twoAlike(directory)) {
            Thread.currentThread().interrupt();
            DedupOutcome outcome = AfterBake.usual().baked(store, Bakery.id("fresh"));
            assertThat(Thread.interrupted()).isTrue();
            assertThat(outcome).isInstanceOfSatisfying(Failed.class,
                    failed -> assertThat(failed.cause()).isInstanceOf(CancelledException.class));
            assertThat(Bakery.image(store, "fresh")).isEqualTo(like);
        }
    }

    @RealFileSystems({XFS, BTRFS})
    void whereThereIsNoSpaceLeftForItTheSnapshotIsAsItWas(Path directory) throws IOException {
        twoAlike(directory).close();
        FaultyPosix faulty = FaultyPosix.host();
        try (DirectoryStore store = Bakery.store(faulty.posix(), directory)) {
            int[] shares = {0};
            faulty.before(call -> {
                // Asked for nothing, then for one block; what follows is the sharing itself.
                if (call.name().equals("ioctl") && call.arguments().get(1).equals(0xC0189436L) && ++shares[0] == 2) {
                    faulty.at("ioctl", faulty.calls("ioctl") + 1).fails(Errno.ENOSPC);
                }
            });
            AfterBake inPlace = AfterBake.usual().with(DedupOptions.DEFAULTS.with(Engine.SHARE_IN_PLACE));
            assertThat(inPlace.baked(store, Bakery.id("fresh"))).isInstanceOfSatisfying(Failed.class,
                    failed -> assertThat(failed.cause()).hasMessageContaining("ENOSPC"));
            assertThat(Bakery.image(store, "fresh")).isEqualTo(like);
        }
        assertThat(faulty.openDescriptors()).isEmpty();
    }

    @RealFileSystems(XFS)
    void theEventAndTheLogSayWhatTheOutcomeSays(Path directory, @TempDir Path recordings) throws IOException {
        List<LogRecord> log;
        List<RecordedEvent> events;
        DedupReport report;
        try (DirectoryStore store = twoAlike(directory); Recording recording = new Recording();
                LogCapture capture = new LogCapture()) {
            recording.enable(EVENT).withThreshold(Duration.ZERO);
            recording.start();
            AfterBake afterBake = AfterBake.usual();
            report = ((Deduplicated) afterBake.baked(store, Bakery.id("fresh"))).report();
            assertThat(afterBake.baked(store, Bakery.id("fresh"))).isInstanceOf(LeftAlone.class);
            FileDeduplicatorTest.write(directory.resolve("store/fresh").resolve(SnapshotFiles.PAGE_INDEX), 8192,
                    new byte[] {1, 2, 3});
            assertThat(afterBake.baked(store, Bakery.id("fresh"))).isInstanceOf(Failed.class);
            recording.stop();
            log = capture.records;
            Path file = recordings.resolve("recording.jfr");
            recording.dump(file);
            events = RecordingFile.readAllEvents(file).stream()
                    .filter(event -> event.getEventType().getName().equals(EVENT)).toList();
        }
        assertThat(events).extracting(event -> event.getString("outcome"))
                .containsExactly("deduplicated", "ALREADY_SHARED", "failed");
        assertThat(events).allSatisfy(event -> {
            assertThat(event.getString("snapshot")).isEqualTo("fresh");
            assertThat(event.getString("store")).contains(directory.resolve("store").toString());
        });
        assertThat(events.get(0).getString("sibling")).isEqualTo("old");
        assertThat(events.get(0).getLong("sharedBytes")).isEqualTo(report.sharedBytes()).isPositive();
        assertThat(events.get(1).getString("explanation")).contains("already");
        assertThat(events.get(2).getString("explanation")).contains("fresh");
        assertThat(log).extracting(LogRecord::getLevel).containsExactly(Level.INFO, Level.FINE, Level.WARNING);
        assertThat(log.get(2).getThrown()).isNotNull();
    }

    @RealFileSystems({XFS, BTRFS})
    void whateverFailsIsToldAndNotThrown(Path directory) throws IOException {
        twoAlike(directory).close();
        for (Engine engine : Engine.values()) {
            FaultyPosix faulty = FaultyPosix.host();
            try (DirectoryStore store = Bakery.store(faulty.posix(), directory)) {
                faulty.every("ioctl").fails(Errno.EIO);
                assertThat(AfterBake.usual().enabled(true).with(DedupOptions.DEFAULTS.with(engine))
                        .baked(store, Bakery.id("fresh"))).isInstanceOfSatisfying(Failed.class,
                                failed -> assertThat(failed.cause()).hasMessageContaining("EIO"));
            }
            assertThat(faulty.openDescriptors()).isEmpty();
        }
        try (DirectoryStore store = Bakery.store(directory)) {
            assertThat(Bakery.image(store, "fresh")).isEqualTo(like);
        }
    }

    @RealFileSystems({XFS, BTRFS})
    void inAReadOnlyStoreNothingChangesAndTheReasonIsTold(Path directory) throws Exception {
        twoAlike(directory).close();
        Path readOnly = Files.createDirectory(directory.resolve("mount"));
        run("mount", "--bind", directory.resolve("store").toString(), readOnly.toString());
        try {
            run("mount", "-o", "remount,bind,ro", readOnly.toString());
            try (DirectoryStore store = DirectoryStore.open(Posix.host(), readOnly, StoreOptions.PRIVATE)) {
                for (Engine engine : Engine.values()) {
                    assertThat(AfterBake.usual().enabled(true).with(DedupOptions.DEFAULTS.with(engine))
                            .baked(store, Bakery.id("fresh"))).isInstanceOfSatisfying(Failed.class,
                                    failed -> assertThat(((SystemCallException) failed.cause()).errno())
                                            .as(engine + ": " + failed.cause()).isEqualTo(Errno.EROFS));
                }
                assertThat(Bakery.image(store, "fresh")).isEqualTo(like);
            }
        } finally {
            run("umount", readOnly.toString());
        }
        assertThat(directory.resolve("store/.staging").toFile().list()).isEmpty();
    }

    private DirectoryStore twoAlike(Path directory) throws IOException {
        DirectoryStore store = Bakery.store(directory);
        Bakery.bake(store, "old", guest);
        Bakery.bake(store, "fresh", like);
        return store;
    }

    private static void run(String... command) throws Exception {
        assertThat(new ProcessBuilder(command).inheritIO().start().waitFor()).as(String.join(" ", command)).isZero();
    }

    /** A VM manager that has just baked. */
    static final class Baker {
        private Baker() {
        }

        public static void main(String[] arguments) throws IOException {
            try (DirectoryStore store = Bakery.store(Path.of(arguments[0]))) {
                System.out.println(AfterBake.usual().baked(store, Bakery.id("fresh")));
            }
        }
    }

    /** Takes what is logged about deduplications meanwhile. */
    private static final class LogCapture extends Handler implements AutoCloseable {
        private final Logger logger = Logger.getLogger(Deduplicator.class.getName());
        private final Level level = logger.getLevel();
        private final List<LogRecord> records = new ArrayList<>();

        LogCapture() {
            logger.setLevel(Level.FINE);
            logger.setUseParentHandlers(false);
            logger.addHandler(this);
        }

        @Override
        public void publish(LogRecord entry) {
            records.add(entry);
        }

        @Override
        public void flush() {
            // Kept as it comes.
        }

        @Override
        public void close() {
            logger.removeHandler(this);
            logger.setUseParentHandlers(true);
            logger.setLevel(level);
        }
    }
}
