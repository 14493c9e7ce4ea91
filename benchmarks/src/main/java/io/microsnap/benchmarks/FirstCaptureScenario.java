package io.microsnap.benchmarks;

import io.microsnap.core.MachineStateSection;
import io.microsnap.core.PausableMachine;
import io.microsnap.core.SnapshotId;
import io.microsnap.core.internal.posix.Posix;
import io.microsnap.dirty.DirtyTracker;
import io.microsnap.memory.Capture;
import io.microsnap.memory.CaptureKind;
import io.microsnap.memory.CapturedSnapshot;
import io.microsnap.memory.PreparedCapture;
import io.microsnap.store.StoreOptions;
import io.microsnap.store.internal.DirectoryStore;
import io.microsnap.testsupport.FileSystemKind;
import java.io.IOException;
import java.io.OutputStream;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.List;

/** Whether the first pause of a process is as short as its later ones: every run is a JVM of its own. */
final class FirstCaptureScenario implements Scenario {
    private static final long BYTES = 1L << 30;
    private static final int CAPTURES = 20;
    private static final int FIRST_STEADY = 10;

    private final CaptureKind kind;
    private long steadyNanos;

    FirstCaptureScenario(CaptureKind kind) {
        this.kind = kind;
    }

    @Override
    public String name() {
        return "first-capture/" + (kind == CaptureKind.FULL ? "full" : "clone");
    }

    @Override
    public String question() {
        return "the first pause in a fresh JVM beside the median of pauses " + FIRST_STEADY + " to " + CAPTURES
                + " in the same one: a guest of 1 GiB, "
                + (kind == CaptureKind.FULL ? "in full" : "5% dirty in runs of 16, onto a clone") + ", on XFS";
    }

    @Override
    public Target target() {
        return Target.timeAtMost(kind == CaptureKind.FULL ? 1.3 : 1.5);
    }

    @Override
    public long workingSetBytes() {
        return 3 * BYTES;
    }

    @Override
    public Duel prepare(Workbench workbench) throws Exception {
        String store = workbench.directory(FileSystemKind.XFS).resolve("store").toString();
        jvm(store, "bake");
        return new Duel(() -> firstOfAFreshJvm(store), () -> steadyNanos, () -> { });
    }

    private long firstOfAFreshJvm(String store) throws IOException, InterruptedException {
        long[] pauses = Arrays.stream(jvm(store, kind.name()).split(" ")).mapToLong(Long::parseLong).toArray();
        if (pauses.length != CAPTURES) {
            throw new IOException(pauses.length + " captures instead of " + CAPTURES);
        }
        long[] steady = Arrays.stream(pauses).skip(FIRST_STEADY - 1).sorted().toArray();
        steadyNanos = steady[steady.length / 2];
        return pauses[0];
    }

    private static String jvm(String... arguments) throws IOException, InterruptedException {
        OwnJvm.Ended ended = OwnJvm.run(Captures.class, arguments);
        if (ended.status() != 0) {
            throw new IOException("a capturing JVM failed; what it said is above");
        }
        return ended.output().strip();
    }

    /** Captures a guest and prints how many nanoseconds each pause took. Arguments: a store; a kind, or "bake". */
    static final class Captures {
        private static final SnapshotId BASE = new SnapshotId("base");
        private static final SnapshotId NEXT = new SnapshotId("next");

        private Captures() {
        }

        public static void main(String[] arguments) throws Exception {
            OwnJvm.endWithParent();
            try (Workbench workbench = new Workbench();
                    DirectoryStore store = DirectoryStore.openOrCreate(
                            Posix.host(), Path.of(arguments[0]), StoreOptions.PRIVATE)) {
                Guest guest = Guest.full(workbench, BYTES);
                if (arguments[1].equals("bake")) {
                    Capture.of(store, BASE, guest.reader()).take(PausableMachine.pausedAlready(List.of()));
                    return;
                }
                DirtyTracker tracker = workbench.closeLater(DirtyTracker.ofMarks(guest.layout()));
                tracker.armRelativeTo(store.inspect(BASE).reference(), guest.dirty(16, 50));
                fillAndFreePageCache(Path.of(arguments[0] + ".warm"));
                List<String> pauses = new ArrayList<>();
                for (int capture = 0; capture < CAPTURES; capture++) {
                    pauses.add(Long.toString(pauseNanos(Capture.of(store, NEXT, guest.reader()).tracker(tracker)
                            .kind(CaptureKind.valueOf(arguments[1])))));
                }
                System.out.println(String.join(" ", pauses));
            }
        }

        /** Memory that this machine has not used for a while is slow to write at first. */
        private static void fillAndFreePageCache(Path file) throws IOException {
            byte[] chunk = new byte[1 << 20];
            try (OutputStream out = Files.newOutputStream(file)) {
                for (long written = 0; written < BYTES; written += chunk.length) {
                    out.write(chunk);
                }
            } finally {
                Files.delete(file);
            }
        }

        /** Does not publish: the epoch is given back, and the next capture has as much to write. */
        private static long pauseNanos(Capture capture) throws IOException {
            try (PreparedCapture prepared = capture.prepare();
                    CapturedSnapshot captured = prepared.capture(new Running())) {
                return captured.times().pause().toNanos();
            }
        }
    }

    /** A machine that stops and goes on at once. */
    private static final class Running implements PausableMachine {
        @Override
        public void pause() {
        }

        @Override
        public List<MachineStateSection> saveState() {
            return List.of();
        }

        @Override
        public void resume() {
        }
    }
}
