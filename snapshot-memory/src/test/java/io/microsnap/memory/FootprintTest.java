package io.microsnap.memory;

import static org.assertj.core.api.Assertions.assertThat;

import io.microsnap.core.GuestLayout;
import io.microsnap.core.PausableMachine;
import io.microsnap.core.Progress;
import io.microsnap.core.SnapshotId;
import io.microsnap.core.internal.file.Access;
import io.microsnap.core.internal.file.GuestRam;
import io.microsnap.core.internal.file.Mapping;
import io.microsnap.core.internal.posix.Constants;
import io.microsnap.core.internal.posix.Descriptor;
import io.microsnap.core.internal.posix.Posix;
import io.microsnap.dirty.DirtyTracker;
import io.microsnap.store.StoreOptions;
import io.microsnap.store.internal.DirectoryStore;
import io.microsnap.store.internal.StoredSnapshot;
import io.microsnap.testsupport.Checkout;
import io.microsnap.testsupport.ChildProcess;
import io.microsnap.testsupport.ChildProcesses;
import java.io.IOException;
import java.io.UncheckedIOException;
import java.lang.foreign.MemorySegment;
import java.lang.foreign.ValueLayout;
import java.lang.management.ManagementFactory;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.List;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.condition.EnabledOnOs;
import org.junit.jupiter.api.condition.OS;
import org.junit.jupiter.api.io.TempDir;

/** What capturing and restoring take of this process: a guest's memory is never copied into it. */
final class FootprintTest {
    private static final long MIB = 1L << 20;
    private static final long SMALL = 64 * MIB;
    private static final long LARGE = 1024 * MIB;
    /** Index and map take a thousandth of the guest and a thirty-second of that; base and image have one each. */
    private static final long INDEXES = 3 * (LARGE - SMALL) / 1000;
    /** What the JVM takes for itself meanwhile, in compiled code and arenas: a sixtieth of what the guest has more. */
    private static final long NOISE = 16 * MIB;

    @Test
    @EnabledOnOs(value = OS.LINUX, disabledReason = "/proc counts the anonymous memory")
    void neitherHeapNorAnonymousMemoryGrowsWithTheGuest(@TempDir Path directory, ChildProcesses children) {
        ChildProcess child = children.start(new ProcessBuilder(
                Path.of(System.getProperty("java.home"), "bin", "java").toString(), "@" + Checkout.jvmOptions(),
                // A heap that is there from the start, so that what grows is not the heap.
                "-XX:+UseSerialGC", "-Xms48m", "-Xmx48m", "-XX:+AlwaysPreTouch", "-XX:TieredStopAtLevel=1",
                "-cp", System.getProperty("java.class.path"), Rounds.class.getName(), directory.toString()));
        assertThat(child.awaitExit().status()).as("%s", child).isZero();
        long[] small = figures(child.awaitLine("small"));
        long[] large = figures(child.awaitLine("large"));

        assertThat(large[0] - small[0]).as("bytes of anonymous memory more at the most: %s", child)
                .isLessThan(INDEXES + NOISE);
        assertThat(large[1] - small[1]).as("bytes of the heap in use more at the end: %s", child).isLessThan(MIB);
    }

    private static long[] figures(String line) {
        return List.of(line.split(" ", -1)).stream().skip(1).mapToLong(Long::parseLong).toArray();
    }

    /** A small guest to warm up, the small one again, and a large one, each captured, changed, captured, restored. */
    static final class Rounds {
        private final Path directory;
        private long mostAnonymous;

        private Rounds(Path directory) {
            this.directory = directory;
        }

        /** The directory to work in. */
        public static void main(String[] arguments) throws IOException {
            Path directory = Path.of(arguments[0]);
            for (String name : List.of("warm-up", "small", "large")) {
                Rounds round = new Rounds(Files.createDirectory(directory.resolve(name)));
                round.run(name.equals("large") ? LARGE : SMALL);
                System.gc();
                System.out.println(name + " " + round.mostAnonymous + " "
                        + ManagementFactory.getMemoryMXBean().getHeapMemoryUsage().getUsed());
            }
        }

        private void run(long bytes) throws IOException {
            Constants constants = Posix.host().constants();
            GuestLayout layout = GuestLayout.ofSingleRegion(4096, bytes);
            SnapshotId base = new SnapshotId("base");
            SnapshotId next = new SnapshotId("next");
            PausableMachine paused = PausableMachine.pausedAlready(List.of());
            Progress look = (done, total) -> look();
            try (Descriptor file = Descriptor.open(Posix.host(), directory.resolve("ram"),
                            constants.O_RDWR | constants.O_CREAT, 0600);
                    DirectoryStore store = DirectoryStore.openOrCreate(
                            Posix.host(), directory.resolve("store"), StoreOptions.PRIVATE);
                    DirtyTracker tracker = DirtyTracker.ofMarks(layout)) {
                file.truncate(bytes);
                try (GuestRam ram = GuestRam.of(layout, Mapping.file(file, 0, bytes, Access.SHARED_WRITE))) {
                    write(ram.mapping(0), tracker, 64, 2);
                    capture(Capture.of(store, base, ram.reader()).tracker(tracker).progress(look)
                            .prepare(), paused);
                    write(ram.mapping(0), tracker, 256, 1);
                    capture(Capture.of(store, next, ram.reader()).tracker(tracker).progress(look)
                            .kind(CaptureKind.DIFF).prepare(), paused);
                    tracker.invalidate("everything is to be compared");
                    capture(Capture.of(store, new SnapshotId("compared"), ram.reader()).tracker(tracker)
                            .base(next).progress(look).prepare(), paused);
                }
                try (StoredSnapshot held = store.hold(next)) {
                    if (!Verification.of(held, 1, look).isWhole()) {
                        throw new IOException(held + " is not whole");
                    }
                }
                try (RestoredSnapshot restored = Restore.of(store, next).restore(RestoreEngine.LAZY)) {
                    MemorySegment memory = restored.memory().mapping(0);
                    long sum = 0;
                    for (long at = 0; at < bytes; at += 4096) {
                        sum += memory.get(ValueLayout.JAVA_BYTE, at);
                    }
                    if (sum == 0) {
                        throw new IOException("nothing was restored");
                    }
                    look();
                }
            }
        }

        private void capture(PreparedCapture capture, PausableMachine machine) throws IOException {
            try (capture; CapturedSnapshot captured = capture.capture(machine)) {
                look();
                captured.publish();
                look();
            }
        }

        /** Some pages in every so many. */
        private static void write(MemorySegment memory, DirtyTracker tracker, long every, long count) {
            for (long page = 0; page < memory.byteSize() / 4096; page += every) {
                memory.asSlice(page * 4096, count * 4096).fill((byte) (every + page % 7));
                tracker.markWritten(page * 4096, count * 4096);
            }
        }

        private void look() {
            for (String line : status()) {
                if (line.startsWith("RssAnon:")) {
                    mostAnonymous = Math.max(mostAnonymous, Long.parseLong(line.replaceAll("\\D", "")) << 10);
                }
            }
        }

        private static List<String> status() {
            try {
                return Files.readAllLines(Path.of("/proc/self/status"));
            } catch (IOException untold) {
                throw new UncheckedIOException(untold);
            }
        }
    }
}
