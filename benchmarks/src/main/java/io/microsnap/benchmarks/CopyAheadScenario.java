package io.microsnap.benchmarks;

import io.microsnap.core.MachineStateSection;
import io.microsnap.core.PageReader;
import io.microsnap.core.PausableMachine;
import io.microsnap.core.Region;
import io.microsnap.core.SnapshotId;
import io.microsnap.core.SnapshotReference;
import io.microsnap.core.internal.posix.Posix;
import io.microsnap.dirty.DirtySource;
import io.microsnap.dirty.DirtyTracker;
import io.microsnap.kvm.DirtyTracking;
import io.microsnap.kvm.Kvm;
import io.microsnap.machine.GuestProgram;
import io.microsnap.machine.Pattern;
import io.microsnap.machine.SmallMachine;
import io.microsnap.machine.SmallMachineSpec;
import io.microsnap.machine.Touch;
import io.microsnap.memory.Capture;
import io.microsnap.memory.CaptureKind;
import io.microsnap.memory.CapturedSnapshot;
import io.microsnap.memory.CopyAhead;
import io.microsnap.memory.PreparedCapture;
import io.microsnap.store.StoreOptions;
import io.microsnap.store.internal.DirectoryStore;
import io.microsnap.testsupport.FileSystemKind;
import java.io.IOException;
import java.lang.foreign.MemorySegment;
import java.nio.file.Path;
import java.time.Duration;
import java.util.ArrayList;
import java.util.List;
import java.util.Locale;
import java.util.concurrent.locks.LockSupport;

/**
 * How long a guest that goes on writing stands still: one word in each of 16,384 random pages a second, within 256 MiB,
 * on XFS. Its memory is copied ahead of the pause or, to compare with, once during it. The peer does the same.
 */
final class CopyAheadScenario implements Scenario {
    private static final long GIB = 1L << 30;
    private static final int PAGE = 4096;
    private static final long RANGE = 256L << 20;
    private static final int PAGES_A_ROUND = 16;
    private static final Duration ROUND = Duration.ofNanos(1_000_000_000L * PAGES_A_ROUND / 16_384);
    /** What the guest writes in a second, before each capture. */
    private static final long WRITTEN_BEFORE = 16_384;
    private static final long LEAST_NANOS = 500_000_000;
    private static final long MILLION = 1_000_000;
    private static final double FLAT = 1.3;
    /** A slowdown of a fifth. */
    private static final double SLOWED = 1.25;

    private enum Question {
        AHEAD, ONCE, FLAT, FLAT_PAGE_MAP, SLOWED, SLOWED_BESIDE_IDLE
    }

    private final Question question;
    private final CaptureKind kind;
    private final long ramBytes;

    private CopyAheadScenario(Question question, CaptureKind kind, long ramBytes) {
        this.question = question;
        this.kind = kind;
        this.ramBytes = ramBytes;
    }

    static List<Scenario> all() {
        List<Scenario> all = new ArrayList<>();
        for (CaptureKind kind : List.of(CaptureKind.ONTO_BASE, CaptureKind.FULL)) {
            all.add(new CopyAheadScenario(Question.AHEAD, kind, GIB));
            all.add(new CopyAheadScenario(Question.ONCE, kind, GIB));
        }
        for (long gibibytes = 4; gibibytes <= 16; gibibytes *= 4) {
            all.add(new CopyAheadScenario(Question.FLAT, CaptureKind.ONTO_BASE, gibibytes * GIB));
            all.add(new CopyAheadScenario(Question.FLAT_PAGE_MAP, CaptureKind.ONTO_BASE, gibibytes * GIB));
        }
        all.add(new CopyAheadScenario(Question.SLOWED, CaptureKind.ONTO_BASE, GIB));
        all.add(new CopyAheadScenario(Question.SLOWED_BESIDE_IDLE, CaptureKind.ONTO_BASE, GIB));
        return all;
    }

    @Override
    public String name() {
        return "copy-ahead/" + question.name().toLowerCase(Locale.ROOT).replace('_', '-') + '/'
                + (kind == CaptureKind.FULL ? "full" : "onto") + '/' + ramBytes / GIB + "GiB";
    }

    @Override
    public String question() {
        String guest = "a guest of " + ramBytes / GIB + " GiB that goes on writing, "
                + (kind == CaptureKind.FULL ? "in full" : "onto a clone");
        return switch (question) {
            case AHEAD -> "the pause of " + guest + ", copied ahead of it";
            case ONCE -> "the pause of " + guest + ", copied during it";
            case FLAT -> "the pause of " + guest + ", copied ahead of it; the peer is the same in a guest of 1 GiB";
            case FLAT_PAGE_MAP -> "the same with a page-map scan, which goes through all of memory";
            case SLOWED -> "a million touches of " + guest + " as fast as it can, while it is copied";
            case SLOWED_BESIDE_IDLE -> "the same; the peer is the guest while nothing is copied";
        };
    }

    @Override
    public Target target() {
        return switch (question) {
            case FLAT -> Target.timeAtMost(FLAT);
            case SLOWED_BESIDE_IDLE -> Target.timeAtMost(SLOWED);
            default -> Target.none();
        };
    }

    @Override
    public long workingSetBytes() {
        return 3 * GIB;
    }

    @Override
    public Duel prepare(Workbench workbench) throws Exception {
        Kvm kvm = workbench.kvm();
        boolean flat = question == Question.FLAT || question == Question.FLAT_PAGE_MAP;
        Guest guest = new Guest(workbench, kvm, ramBytes, !flat);
        return switch (question) {
            case AHEAD -> new Duel(() -> guest.pauseNanos(true),
                    guest.requireRight(true, peer(workbench, guest, "ahead")), () -> { });
            case ONCE -> new Duel(() -> guest.pauseNanos(false),
                    guest.requireRight(false, peer(workbench, guest, "once")), () -> { });
            case FLAT, FLAT_PAGE_MAP -> {
                Guest small = new Guest(workbench, kvm, GIB, false);
                yield new Duel(() -> guest.pauseNanos(true),
                        guest.requireRight(true, () -> small.pauseNanos(true)), () -> { });
            }
            case SLOWED -> new Duel(guest::nanosOfAMillionTouches, peer(workbench, guest, "slowed"), () -> { });
            case SLOWED_BESIDE_IDLE -> new Duel(guest::nanosOfAMillionTouches, guest::nanosOfAMillionTouchesAlone,
                    () -> { });
        };
    }

    private Contestant peer(Workbench workbench, Guest guest, String command) throws Exception {
        String how = question == Question.SLOWED ? command : command + (kind == CaptureKind.FULL ? "-full" : "-onto");
        Path beside = workbench.directory(FileSystemKind.XFS).resolve("peer");
        return workbench.peer(CopyAheadScenario.class, "kvm.c", how,
                DirtyHarvestScenario.number(DirtyTracking.MANUAL_CLEAR), ramBytes, 0, 0,
                question == Question.SLOWED ? 0 : ROUND.toNanos(), beside, DirtyHarvestScenario.code(guest.machine));
    }

    /** A guest that writes all the time, with a store and a base. */
    private final class Guest implements PausableMachine {
        private final SmallMachine machine;
        private final DirtyTracker tracker;
        private final DirectoryStore store;
        private final PageReader reader;
        private final SnapshotReference base;

        Guest(Workbench workbench, Kvm kvm, long bytes, boolean filled) throws Exception {
            SmallMachineSpec spec = SmallMachineSpec.ofRam(bytes).withTracking(DirtyTracking.MANUAL_CLEAR);
            machine = workbench.closeLater(SmallMachine.create(kvm, spec));
            fill(machine.memory().mapping(0), filled ? bytes : SmallMachine.PROGRAM_AREA_BYTES + RANGE);
            DirtySource source = question == Question.FLAT_PAGE_MAP
                    ? DirtySource.ofPageMap(machine.memory()) : machine.openDirtySource();
            tracker = workbench.closeLater(DirtyTracker.of(spec.layout(), source));
            store = workbench.closeLater(DirectoryStore.openOrCreate(Posix.host(),
                    workbench.directory(FileSystemKind.XFS).resolve("store"), StoreOptions.PRIVATE));
            reader = machine.memory().reader();
            machine.load(0, GuestProgram.touch(new Touch(
                    new Region(SmallMachine.PROGRAM_AREA_BYTES, RANGE), Pattern.RANDOM, 11, PAGES_A_ROUND, 0)));
            base = Capture.of(store, new SnapshotId("base"), reader).tracker(tracker).take(this).reference();
            if (question != Question.SLOWED && question != Question.SLOWED_BESIDE_IDLE) {
                machine.pace(0, ROUND);
            }
        }

        private Capture capture(boolean ahead) {
            Capture capture = Capture.of(store, new SnapshotId("next"), reader).tracker(tracker).kind(kind);
            return ahead ? capture.copyAhead(CopyAhead.usual()) : capture;
        }

        /** Returns how long the pause at the end of a second of the guest's life is. */
        long pauseNanos(boolean ahead) throws IOException {
            return abandonedPauseNanos(capture(ahead), ahead);
        }

        /**
         * Compares the first capture with the guest, and returns the peer. Later ones cannot be compared: they leave
         * out what the guest wrote before, as if that had been published.
         */
        Contestant requireRight(boolean ahead, Contestant peer) throws IOException {
            abandonedPauseNanos(capture(ahead).checked(), ahead);
            return peer;
        }

        private long abandonedPauseNanos(Capture capture, boolean ahead) throws IOException {
            long nanos = pauseNanos(capture, ahead);
            // Abandoned. As if it had been published: the next one is of a second, too.
            tracker.armRelativeTo(base);
            return nanos;
        }

        private long pauseNanos(Capture capture, boolean ahead) throws IOException {
            runOn();
            try (PreparedCapture prepared = capture.prepare()) {
                long copied = ahead ? prepared.copyAhead().pagesCopied() : 0;
                try (CapturedSnapshot captured = prepared.capture(this)) {
                    if (copied + captured.memory().pagesRecorded() < WRITTEN_BEFORE / 2) {
                        throw new IOException("the guest wrote too little: " + captured.memory());
                    }
                    return captured.times().pause().toNanos();
                }
            }
        }

        private void runOn() throws IOException {
            machine.resume();
            long enough = machine.counter(0) + WRITTEN_BEFORE;
            while (machine.counter(0) < enough) {
                LockSupport.parkNanos(ROUND.toNanos());
            }
        }

        long nanosOfAMillionTouches() throws IOException {
            machine.resume();
            long nanos = 0;
            long touched = 0;
            while (nanos < LEAST_NANOS) {
                try (PreparedCapture prepared = capture(true).prepare()) {
                    long before = machine.counter(0);
                    nanos += prepared.copyAhead().time().toNanos();
                    touched += machine.counter(0) - before;
                }
            }
            return nanos * MILLION / touched;
        }

        long nanosOfAMillionTouchesAlone() throws IOException {
            machine.resume();
            long start = System.nanoTime();
            long before = machine.counter(0);
            while (System.nanoTime() - start < LEAST_NANOS) {
                Thread.onSpinWait();
            }
            return (System.nanoTime() - start) * MILLION / (machine.counter(0) - before);
        }

        @Override
        public void pause() throws IOException {
            machine.pause();
        }

        @Override
        public List<MachineStateSection> saveState() throws IOException {
            return machine.saveState();
        }

        @Override
        public void resume() {
            // It is let go when the capture has been looked at, as the peer's is.
        }
    }

    private static void fill(MemorySegment memory, long bytes) {
        for (long page = SmallMachine.PROGRAM_AREA_BYTES / PAGE; page < bytes / PAGE; page++) {
            memory.asSlice(page * PAGE, PAGE).fill((byte) (page % 255 + 1));
        }
    }
}
