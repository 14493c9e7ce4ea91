package io.microsnap.benchmarks;

import io.microsnap.core.PausableMachine;
import io.microsnap.core.SnapshotId;
import io.microsnap.core.internal.posix.Descriptor;
import io.microsnap.core.internal.posix.Posix;
import io.microsnap.dirty.DirtyTracker;
import io.microsnap.memory.Capture;
import io.microsnap.memory.CaptureKind;
import io.microsnap.memory.CaptureResult;
import io.microsnap.memory.Restore;
import io.microsnap.memory.RestoreEngine;
import io.microsnap.memory.RestoredSnapshot;
import io.microsnap.store.StoreOptions;
import io.microsnap.store.internal.DirectoryStore;
import io.microsnap.testsupport.FileSystemKind;
import java.io.IOException;
import java.lang.foreign.ValueLayout;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.BitSet;
import java.util.List;
import java.util.Locale;
import java.util.SplittableRandom;

/**
 * A guest of 1 GiB that changes a twentieth of itself and is captured, again and again, with every snapshot kept. What
 * the last ones cost is compared with what the first ones did, in the same store: captures by the ratio; restores and
 * space by readings, for a life of hundreds of captures takes minutes.
 */
final class GenerationsScenario implements Scenario {
    /** Room for what 200 generations change, and for their full images. */
    private static final long STORE_BYTES = 48L << 30;
    private static final int PAGE = Guest.PAGE;
    private static final int CHANGED_ONE_IN = 20;
    /** So many snapshots for each that may be full. */
    private static final int SNAPSHOTS_FOR_A_FULL_ONE = 9;
    /** The promise for a lazy restore. */
    private static final long LAZY_NANOS = 400_000_000;
    /** What the store may take, in pages that differ between snapshots. */
    private static final int LIVE_TIMES = 3;
    private static final String EAGER = "eager restore";
    private static final String LAZY = "lazy restore";
    private static final double MOST_TIMES_THE_SECOND = 1.5;

    private final FileSystemKind fileSystem;
    private final int runPages;
    private final int generations;
    private final long bytes;

    GenerationsScenario(FileSystemKind fileSystem, int runPages, int generations, long bytes) {
        this.fileSystem = fileSystem;
        this.runPages = runPages;
        this.generations = generations;
        this.bytes = bytes;
    }

    /** Each filesystem and pattern, for dozens of captures and for hundreds. */
    static List<Scenario> all() {
        List<Scenario> all = new ArrayList<>();
        for (int generations : new int[] {40, 200}) {
            for (FileSystemKind fileSystem : List.of(FileSystemKind.XFS, FileSystemKind.EXT4)) {
                for (int runPages : new int[] {1, 16}) {
                    all.add(new GenerationsScenario(fileSystem, runPages, generations, 1L << 30));
                }
            }
        }
        return all;
    }

    @Override
    public String name() {
        return String.join("/", "generations", Integer.toString(generations), lower(fileSystem), Sizes.name(bytes),
                Integer.toString(runPages));
    }

    private static String lower(Enum<?> value) {
        return value.name().toLowerCase(Locale.ROOT);
    }

    @Override
    public String question() {
        return generations + " snapshots of " + Unit.BYTES.text(bytes) + " on " + lower(fileSystem)
                + ", 5 % changed before each in runs of " + runPages + " pages, all kept: the median of the last"
                + " quarter's captures, full ones aside; the peer is the second capture";
    }

    @Override
    public Target target() {
        return Target.timeAtMost(MOST_TIMES_THE_SECOND);
    }

    @Override
    public long workingSetBytes() {
        return 3 * bytes;
    }

    @Override
    public long diskBytes() {
        return LIVE_TIMES * (bytes + generations * bytes / CHANGED_ONE_IN);
    }

    @Override
    public Duel prepare(Workbench workbench) throws Exception {
        Path directory = workbench.largeDirectory(fileSystem, STORE_BYTES);
        DirectoryStore store = workbench.closeLater(
                DirectoryStore.openOrCreate(Posix.host(), directory.resolve("store"), StoreOptions.PRIVATE));
        long freeBefore = freeBytes(directory);
        Guest guest = Guest.full(workbench, bytes);
        Life life = new Life(store, guest, workbench.closeLater(DirtyTracker.ofMarks(guest.layout())));
        life.live();
        long taken = freeBefore - freeBytes(directory);
        Readings readings = new Readings();
        return new Duel(() -> {
            readings.ours("full snapshots", Unit.COUNT, life.fullOnes());
            readings.ours("space", Unit.BYTES, taken);
            readings.ours(EAGER, Unit.NANOSECONDS, life.restored(generations - 1, RestoreEngine.EAGER));
            readings.ours(LAZY, Unit.NANOSECONDS, life.restored(generations - 1, RestoreEngine.LAZY));
            return life.lastNanos();
        }, () -> {
            readings.peer("full snapshots", Unit.COUNT, Math.ceilDiv(generations, SNAPSHOTS_FOR_A_FULL_ONE));
            readings.peer("space", Unit.BYTES, LIVE_TIMES * life.liveBytes);
            readings.peer(EAGER, Unit.NANOSECONDS, life.restored(0, RestoreEngine.EAGER));
            readings.peer(LAZY, Unit.NANOSECONDS, LAZY_NANOS);
            return life.secondNanos();
        }, () -> { }, readings).warmedBy(() -> { });
    }

    private static long freeBytes(Path directory) throws IOException {
        Posix posix = Posix.host();
        try (Descriptor open = Descriptor.open(posix, directory, posix.constants().O_RDONLY, 0)) {
            open.check("syncfs", posix.syncfs(open.number()), "");
            return open.fileSystem().freeBytes();
        }
    }

    private static SnapshotId id(int generation) {
        return new SnapshotId("g" + generation);
    }

    /** The guest, from its first capture to its last. */
    private final class Life {
        private final SplittableRandom random = new SplittableRandom(1);
        private final DirectoryStore store;
        private final Guest guest;
        private final DirtyTracker tracker;
        private final List<CaptureResult> results = new ArrayList<>();
        private long liveBytes = bytes;

        Life(DirectoryStore store, Guest guest, DirtyTracker tracker) {
            this.store = store;
            this.guest = guest;
            this.tracker = tracker;
        }

        void live() throws IOException {
            PausableMachine standing = PausableMachine.pausedAlready(List.of());
            for (int generation = 0; generation < generations; generation++) {
                if (generation > 0) {
                    change(generation);
                }
                results.add(Capture.of(store, id(generation), guest.reader()).tracker(tracker).threads(2)
                        .take(standing));
            }
        }

        private void change(int generation) {
            long runs = bytes / PAGE / CHANGED_ONE_IN / runPages;
            long places = bytes / PAGE / runPages;
            BitSet changed = new BitSet();
            while (changed.cardinality() < runs) {
                changed.set(random.nextInt(Math.toIntExact(places)));
            }
            for (int run = changed.nextSetBit(0); run >= 0; run = changed.nextSetBit(run + 1)) {
                long offset = (long) run * runPages * PAGE;
                for (int page = 0; page < runPages; page++) {
                    guest.memory().set(ValueLayout.JAVA_LONG, offset + (long) page * PAGE, generation);
                }
                tracker.markWritten(offset, (long) runPages * PAGE);
            }
            liveBytes += runs * runPages * PAGE;
        }

        long secondNanos() {
            return nanos(results.get(1));
        }

        long lastNanos() {
            long[] last = results.subList(generations - generations / 4, generations).stream()
                    .filter(result -> result.kind() != CaptureKind.FULL).mapToLong(this::nanos).sorted().toArray();
            return last[last.length / 2];
        }

        private long nanos(CaptureResult result) {
            CaptureResult.Times times = result.times();
            return times.prepare().plus(times.pause()).plus(times.publish()).toNanos();
        }

        /** Returns the time until memory is handed out. */
        long restored(int generation, RestoreEngine engine) throws IOException {
            long start = System.nanoTime();
            try (RestoredSnapshot copy = Restore.of(store, id(generation)).threads(2).restore(engine)) {
                long nanos = System.nanoTime() - start;
                if (generation == generations - 1 && copy.memory().mapping(0).mismatch(guest.memory()) >= 0) {
                    throw new IOException(id(generation) + " is not what was captured");
                }
                return nanos;
            }
        }

        long fullOnes() {
            return results.stream().filter(result -> result.kind() == CaptureKind.FULL).count();
        }
    }
}
