package io.microsnap.benchmarks;

import io.microsnap.memory.Restore;
import io.microsnap.memory.RestoredSnapshot;
import io.microsnap.testsupport.FileSystemKind;
import java.io.IOException;
import java.lang.foreign.MemorySegment;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayDeque;
import java.util.Arrays;
import java.util.Deque;
import java.util.List;

/**
 * A cell of the restore matrix: from the call until the guest has touched what it needs. The peer maps or reads the
 * same ranges of the same files and touches the same pages in the same order.
 */
final class RestoreCellScenario implements Scenario {
    /** Until so many pages: a guest that answers its first request, say. */
    private static final int FIRST_PAGES = 256;
    private static final double SOME_NOISE = 1.15;
    private static final double MANY = 1.3;
    private static final int PERCENT = 100;
    private static final long MIDDLE_BYTES = 64 * Sizes.MIB;
    /** So much faster than faults that read one run after another. */
    private static final double READ_AHEAD_RUNS = 8;
    private static final double READ_AHEAD_PAGES = 4;

    private final RestoreCell cell;
    private final Engine engine;

    /** Makes one restore: the cell's own way, or in a test one that is broken. */
    @FunctionalInterface
    interface Engine {
        RestoredSnapshot restore(Restore restore) throws IOException;
    }

    RestoreCellScenario(RestoreCell cell) {
        this(cell, cell.way()::restore);
    }

    RestoreCellScenario(RestoreCell cell, Engine engine) {
        this.cell = cell;
        this.engine = engine;
    }

    RestoreCell cell() {
        return cell;
    }

    @Override
    public String name() {
        return cell.name();
    }

    @Override
    public String question() {
        return (cell.copies() == 1 ? "a guest of " : cell.copies() + " guests of ")
                + Unit.BYTES.text(cell.guestBytes()) + " restored (" + cell.way().label() + ") from a snapshot ("
                + cell.kind().label() + ") on XFS, " + (cell.cold() ? "cold" : "warm") + ", until "
                + Unit.BYTES.text(cell.touch().bytes()) + " are touched (" + cell.touch().pattern().label()
                + "); the peer does the same calls in C (" + cell.way().peer() + ")";
    }

    /** A warm restore of little is dominated by what the store must check; the family hand-out has the promise. */
    @Override
    public Target target() {
        if (cell.copies() > 1) {
            return Target.timeAtMost(MANY);
        }
        if (cell.way() == RestoreWay.WORKING_SET) {
            return readAheadTarget();
        }
        return !cell.cold() && cell.way().maps() ? Target.none() : Target.timeAtMost(SOME_NOISE);
    }

    /** Of a cold, full snapshot of 1 GiB: where everything touched must come from the disk. */
    private Target readAheadTarget() {
        if (!cell.cold() || cell.kind() != StoredGuest.Kind.FULL || cell.guestBytes() != Sizes.GIB
                || cell.touch().bytes() != MIDDLE_BYTES) {
            return Target.none();
        }
        return switch (cell.touch().pattern()) {
            case RUNS -> Target.speedAtLeast(READ_AHEAD_RUNS);
            case PAGES -> Target.speedAtLeast(READ_AHEAD_PAGES);
            case SEQUENTIAL -> Target.none();
        };
    }

    @Override
    public long workingSetBytes() {
        long image = Math.min(cell.guestBytes(), Sizes.GIB);
        // The page cache, and memory of its own where the image is read into that.
        return cell.way().maps() ? image : 2 * image;
    }

    @Override
    public long diskBytes() {
        return 3 * Math.min(cell.guestBytes(), Sizes.GIB);
    }

    @Override
    public Duel prepare(Workbench workbench) throws Exception {
        Path directory = workbench.directory(FileSystemKind.XFS);
        StoredGuest stored = StoredGuest.make(workbench, directory, cell.kind(), cell.guestBytes());
        TouchPlan plan = TouchPlan.of(cell.touch().pattern(), cell.touch().bytes(), stored.populated());
        StringBuilder told = new StringBuilder();
        stored.tell(told);
        plan.tell(told);
        Path file = Files.writeString(directory.resolve("plan"), told);
        CPeer peer = workbench.readingPeer(
                RestoreCellScenario.class, "restore.c", cell.way().peer(), file, cell.copies(), firstPages(plan));
        cell.way().learn(stored.restore(), plan);
        Readings readings = new Readings();
        Side side = workbench.closeLater(new Side(stored, plan, readings));
        return new Duel(side::run, () -> peerRun(peer, stored, plan, readings), () -> { }, readings)
                .warmedBy(() -> {
                    stored.makeWarm();
                    Workbench.warmUp(side::restoreAndTouchOnce);
                });
    }

    private static int firstPages(TouchPlan plan) {
        return Math.min(FIRST_PAGES, plan.pages());
    }

    private void settleCache(StoredGuest stored) throws IOException {
        if (cell.cold()) {
            stored.makeCold();
        } else {
            stored.makeWarm();
        }
    }

    /** The peer answers: until all handed out at the median and the 99th percentile, first pages, faults, its sum. */
    private long peerRun(CPeer peer, StoredGuest stored, TouchPlan plan, Readings readings) throws IOException {
        settleCache(stored);
        long cached = Residency.pageCacheBytes(stored.images());
        long nanos = peer.run();
        List<Long> told = peer.readings();
        readings.peer("handed out", Unit.NANOSECONDS, told.get(0));
        if (cell.copies() > 1) {
            readings.peer("99th percentile", Unit.NANOSECONDS, told.get(1));
        }
        readings.peer("first " + firstPages(plan) + " pages", Unit.NANOSECONDS, told.get(2));
        readings.peer("minor faults", Unit.COUNT, told.get(3));
        readings.peer("major faults", Unit.COUNT, told.get(4));
        readings.peer("page cache", Unit.BYTES, Residency.pageCacheBytes(stored.images()) - cached);
        readings.peer("PSS", Unit.BYTES, Residency.proportionalBytes(peer.pid(), address -> true));
        peer.ask("drop");
        if (told.get(5) != stored.sum(plan) * cell.copies()) {
            throw new IOException("the peer read other bytes than the guest had");
        }
        return nanos;
    }

    /** Our side: the copies that are alive. */
    private final class Side implements AutoCloseable {
        private final StoredGuest stored;
        private final TouchPlan plan;
        private final Readings readings;
        private final Deque<RestoredSnapshot> alive = new ArrayDeque<>();
        private final long[] handedOut = new long[cell.copies()];
        private long firstPagesAfter;
        private boolean wholeCompared;

        Side(StoredGuest stored, TouchPlan plan, Readings readings) {
            this.stored = stored;
            this.plan = plan;
            this.readings = readings;
        }

        long run() throws IOException {
            settleCache(stored);
            long cached = Residency.pageCacheBytes(stored.images());
            Residency.Faults before = Residency.faults();
            long start = System.nanoTime();
            long sum = 0;
            for (int copy = 0; copy < cell.copies(); copy++) {
                sum += restoreAndTouch(copy);
            }
            long nanos = System.nanoTime() - start;
            tell(Residency.faults().since(before), cached);
            if (!wholeCompared) {
                compareWhole();
            }
            close();
            if (sum != stored.sum(plan) * cell.copies()) {
                throw new IOException("the touched pages have other bytes than the guest's");
            }
            return nanos;
        }

        /** Once: it takes longer than most restores, and the sum holds every run against what was touched. */
        private void compareWhole() throws IOException {
            // Read in long runs first: page by page, with random advice, it would take minutes.
            stored.makeWarm();
            for (RestoredSnapshot copy : alive) {
                stored.requireSame(copy.memory().mapping(0));
            }
            wholeCompared = true;
        }

        void restoreAndTouchOnce() throws IOException {
            restoreAndTouch(0);
            close();
        }

        private long restoreAndTouch(int copy) throws IOException {
            long start = System.nanoTime();
            RestoredSnapshot restored = engine.restore(stored.restore());
            alive.push(restored);
            handedOut[copy] = System.nanoTime() - start;
            MemorySegment memory = restored.memory().mapping(0);
            long sum = plan.touch(memory, 0, firstPages(plan));
            if (copy == 0) {
                firstPagesAfter = System.nanoTime() - start;
            }
            return sum + plan.touch(memory, firstPages(plan), plan.pages());
        }

        private void tell(Residency.Faults faults, long cachedBefore) throws IOException {
            long[] sorted = handedOut.clone();
            Arrays.sort(sorted);
            readings.ours("handed out", Unit.NANOSECONDS, sorted[sorted.length / 2]);
            if (cell.copies() > 1) {
                int rank = Math.ceilDiv((PERCENT - 1) * sorted.length, PERCENT) - 1;
                readings.ours("99th percentile", Unit.NANOSECONDS, sorted[rank]);
            }
            readings.ours("first " + firstPages(plan) + " pages", Unit.NANOSECONDS, firstPagesAfter);
            readings.ours("minor faults", Unit.COUNT, faults.minor());
            readings.ours("major faults", Unit.COUNT, faults.major());
            readings.ours("page cache", Unit.BYTES, Residency.pageCacheBytes(stored.images()) - cachedBefore);
            readings.ours("PSS", Unit.BYTES,
                    Residency.proportionalBytes(ProcessHandle.current().pid(), this::isOfACopy));
        }

        private boolean isOfACopy(long address) {
            return alive.stream().map(copy -> copy.memory().mapping(0)).anyMatch(memory ->
                    address >= memory.address() && address < memory.address() + memory.byteSize());
        }

        @Override
        public void close() throws IOException {
            while (!alive.isEmpty()) {
                alive.pop().close();
            }
        }
    }
}
