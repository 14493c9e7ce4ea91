package io.microsnap.kvm.life;

import io.microsnap.core.PausableMachine;
import io.microsnap.core.Region;
import io.microsnap.core.SnapshotId;
import io.microsnap.core.internal.posix.Posix;
import io.microsnap.dirty.DirtyTracker;
import io.microsnap.kvm.DirtyTracking;
import io.microsnap.kvm.Kvm;
import io.microsnap.machine.GuestProgram;
import io.microsnap.machine.Pattern;
import io.microsnap.machine.SelfCheck;
import io.microsnap.machine.SmallMachine;
import io.microsnap.machine.SmallMachineSpec;
import io.microsnap.machine.Touch;
import io.microsnap.memory.Capture;
import io.microsnap.memory.CaptureKind;
import io.microsnap.memory.CaptureResult;
import io.microsnap.memory.Restore;
import io.microsnap.memory.RestoreEngine;
import io.microsnap.memory.RestoredSnapshot;
import io.microsnap.store.StoreOptions;
import io.microsnap.store.internal.DirectoryStore;
import java.io.IOException;
import java.nio.file.Path;

/**
 * A process in which a guest lives for some generations: restored from the last snapshot (or born), run, found to be
 * going on from where it was with its memory right, captured, closed. Says a line for each.
 */
public final class Life {
    private static final long MIB = 1 << 20;
    private static final SmallMachineSpec SPEC = SmallMachineSpec.ofRam(16 * MIB).withVcpus(2);
    private static final Touch TOUCH = new Touch(new Region(2 * MIB, 12 * MIB), Pattern.RANDOM, 0x77, 40, 0);
    private static final long TOUCHES_IN_A_LIFE = 100;

    private Life() {
    }

    /** How a restore makes memory. */
    enum Engine {
        LAZY, EAGER, MEMFD;

        RestoredSnapshot restore(Restore restore) throws IOException {
            return switch (this) {
                case LAZY -> restore.restore(RestoreEngine.LAZY);
                case EAGER -> restore.restore(RestoreEngine.EAGER);
                case MEMFD -> restore.restore(RestoreEngine.MEMFD);
            };
        }
    }

    /** Arguments: store, first generation, how many, kind of capture, engine, dirty tracking. */
    public static void main(String[] arguments) throws Exception {
        int first = Integer.parseInt(arguments[1]);
        int last = first + Integer.parseInt(arguments[2]) - 1;
        CaptureKind kind = CaptureKind.valueOf(arguments[3]);
        Engine engine = Engine.valueOf(arguments[4]);
        SmallMachineSpec spec = SPEC.withTracking(DirtyTracking.valueOf(arguments[5]));
        try (DirectoryStore store = DirectoryStore.openOrCreate(
                Posix.host(), Path.of(arguments[0]), StoreOptions.PRIVATE); Kvm kvm = Kvm.open()) {
            for (int generation = first; generation <= last; generation++) {
                if (generation == 0) {
                    beBorn(kvm, spec, store);
                } else {
                    live(kvm, spec, store, generation, kind, engine);
                }
            }
        }
    }

    private static void beBorn(Kvm kvm, SmallMachineSpec spec, DirectoryStore store) throws Exception {
        try (SmallMachine machine = SmallMachine.create(kvm, spec);
                DirtyTracker tracker = DirtyTracker.of(spec.layout(), machine.openDirtySource())) {
            machine.load(0, GuestProgram.touch(TOUCH));
            machine.load(1, GuestProgram.count());
            liveOn(machine, tracker, store, 0, CaptureKind.FULL);
        }
    }

    private static void live(Kvm kvm, SmallMachineSpec spec, DirectoryStore store, int generation, CaptureKind kind,
            Engine engine) throws Exception {
        try (RestoredSnapshot restored = engine.restore(Restore.of(store, id(generation - 1)).verified());
                SmallMachine machine =
                        SmallMachine.restore(kvm, spec, restored.memory(), restored.machineState());
                DirtyTracker tracker = restored.tracker(machine.openDirtySource())) {
            liveOn(machine, tracker, store, generation, kind);
        }
    }

    private static void liveOn(
            SmallMachine machine, DirtyTracker tracker, DirectoryStore store, int generation, CaptureKind kind)
            throws Exception {
        long touched = machine.counter(0);
        long counted = machine.counter(1);
        machine.resume();
        while (machine.counter(0) < touched + TOUCHES_IN_A_LIFE || machine.counter(1) <= counted) {
            Thread.onSpinWait();
        }
        SelfCheck check = machine.selfCheck(0);
        if (!check.holds()) {
            throw new AssertionError("generation " + generation + ": " + check);
        }
        CaptureResult result = Capture.of(store, id(generation), machine.memory().reader())
                .tracker(tracker).kind(kind)
                .take(paused(machine));
        System.out.println("generation " + generation + " " + result.kind() + " from " + touched + " " + counted
                + " to " + machine.counter(0) + " " + machine.counter(1)
                + " pages " + result.memory().pagesRecorded());
    }

    /** Paused to be captured, and not resumed: its life here is over. */
    private static PausableMachine paused(SmallMachine machine) throws IOException {
        machine.pause();
        return PausableMachine.pausedAlready(machine.saveState());
    }

    private static SnapshotId id(int generation) {
        return new SnapshotId("generation-" + generation);
    }
}
