package io.microsnap.memory.misuse;

import io.microsnap.core.GuestLayout;
import io.microsnap.core.PausableMachine;
import io.microsnap.core.internal.posix.Posix;
import io.microsnap.dirty.DirtyTracker;
import io.microsnap.memory.Capture;
import io.microsnap.memory.CaptureKind;
import io.microsnap.memory.InMemoryPageReader;
import io.microsnap.store.SnapshotStore;
import io.microsnap.store.StoreOptions;
import io.microsnap.store.internal.DirectoryStore;
import java.io.IOException;
import java.lang.foreign.ValueLayout;
import java.nio.file.Files;
import java.nio.file.Path;
import java.time.Duration;
import java.util.List;
import java.util.SplittableRandom;
import java.util.stream.Stream;

/**
 * Rounds of misuse in a process of its own, which must survive them and have nothing left open. Arguments: a directory,
 * a seed, how many rounds, and which {@link Ways}.
 */
final class MisuseCampaign {
    /** A new way of misuse is a class and a line here. */
    enum Ways {
        /** Whatever users do. */
        ROOMY,
        /** For a process with a heap that a round can use up. */
        SMALL_HEAP;

        List<Misuse> all() {
            return switch (this) {
                case ROOMY -> List.of(new ThrownFromEveryCall(), new CapturesInAnyOrder(), new TwoCapturers(),
                        new Interrupted(), new RestoredInAnyOrder(), new ClosedInAnyOrder(), new UsedAfterClose(),
                        new ThrownFromEveryCall(), new CapturesInAnyOrder(), new AddressSpaceUsedUp(),
                        new MappingsNearlyUsedUp());
                case SMALL_HEAP -> List.of(new HeapUsedUp(), new HeapUsedUp(), new HeapUsedUp(),
                        new ThrownFromEveryCall());
            };
        }
    }

    private static final int PAGE = 4096;
    private static final int RUNS = 60;
    private static final PausableMachine PAUSED = PausableMachine.pausedAlready(List.of());
    /** Of the JVM itself: its threads, its compiler. */
    private static final long JVM_MAPPINGS = 200;
    /** Less than any page that a round could forget. */
    private static final long BYTES_A_ROUND = 1024;
    /** A round takes a second at most; a round that waits for ever is reported with the stack of each thread. */
    private static final Duration PATIENCE = Duration.ofSeconds(60);

    private final Path directory;
    private final SnapshotStore store;
    private final InMemoryPageReader guest =
            InMemoryPageReader.of(GuestLayout.ofSingleRegion(PAGE, RUNS * 4L * PAGE));
    private final Ways ways;
    private final List<Misuse> all;

    private MisuseCampaign(Path directory, SnapshotStore store, Ways ways) {
        this.directory = directory;
        this.store = store;
        this.ways = ways;
        all = ways.all();
    }

    public static void main(String[] arguments) throws Exception {
        SplittableRandom random = new SplittableRandom(Long.parseLong(arguments[1]));
        int rounds = Integer.parseInt(arguments[2]);
        Path directory = Path.of(arguments[0], "store");
        try (DirectoryStore store = DirectoryStore.openOrCreate(Posix.host(), directory, StoreOptions.PRIVATE)) {
            new MisuseCampaign(directory, store, Ways.valueOf(arguments[3])).run(rounds, random);
        }
        System.out.println("survived " + rounds + " rounds");
    }

    private void run(int rounds, SplittableRandom random) throws IOException {
        bake(store, guest);
        // By then everything that stays open has been opened.
        int prelude = 2 * all.size();
        for (int round = 0; round < prelude; round++) {
            round(round, random.split());
        }
        long descriptors = ProcessLimits.descriptors();
        long mappings = ProcessLimits.mappings();
        long offHeapBytes = offHeapBytes();
        for (int round = prelude; round < rounds; round++) {
            round(round, random.split());
            requireAtMost(descriptors, ProcessLimits.descriptors(), "descriptors");
        }
        requireAtMost(mappings + JVM_MAPPINGS, ProcessLimits.mappings(), "mappings");
        if (ways != Ways.SMALL_HEAP) {
            // Without room on the heap the JDK may lose memory itself, between allocating it and noting that it did.
            requireAtMost(offHeapBytes + rounds * BYTES_A_ROUND, offHeapBytes(), "bytes off the heap");
        }
    }

    private static long offHeapBytes() throws IOException {
        // What the first collection finds is freed by another thread.
        System.gc();
        System.gc();
        return ProcessLimits.offHeapBytes();
    }

    private void round(int number, SplittableRandom random) {
        Misuse way = all.get(number % all.size());
        String name = "round " + number + ", " + way.getClass().getSimpleName();
        Thread watching = watch(name);
        try {
            way.round(store, guest, random);
            Misuse.require(store.list().size() == 2, "snapshots are left: " + store.list());
            try (Stream<Path> staged = Files.list(directory.resolve(".staging"))) {
                List<Path> left = staged.toList();
                Misuse.require(left.isEmpty(), "staging directories are left: " + left);
            }
        } catch (Throwable failure) {
            throw new AssertionError(name, failure);
        } finally {
            watching.interrupt();
        }
    }

    private static Thread watch(String name) {
        return Thread.ofPlatform().daemon().start(() -> {
            try {
                Thread.sleep(PATIENCE);
            } catch (InterruptedException ended) {
                return;
            }
            System.err.println(name + " hangs");
            Thread.getAllStackTraces().forEach((thread, frames) -> {
                System.err.println(thread);
                for (StackTraceElement frame : frames) {
                    System.err.println("    " + frame);
                }
            });
            Runtime.getRuntime().halt(1);
        });
    }

    private static void requireAtMost(long most, long found, String what) {
        Misuse.require(found <= most, what + " are left: " + found + ", where there may be " + most);
    }

    private static void bake(SnapshotStore store, InMemoryPageReader guest) throws IOException {
        try (DirtyTracker marks = DirtyTracker.ofMarks(guest.layout())) {
            for (long offset = 0; offset < guest.layout().lengthBytes(); offset += PAGE) {
                guest.bytes().set(ValueLayout.JAVA_LONG, offset, offset + 1);
            }
            Capture.of(store, Misuse.BASE, guest).tracker(marks).take(PAUSED);
            for (long run = 0; run < RUNS; run++) {
                guest.bytes().set(ValueLayout.JAVA_LONG, run * 4 * PAGE, -run - 1);
                marks.markWritten(run * 4 * PAGE, PAGE);
            }
            Capture.of(store, Misuse.DIFF, guest).tracker(marks).kind(CaptureKind.DIFF).take(PAUSED);
        }
    }
}
