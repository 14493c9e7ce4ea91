package io.microsnap.kvm;

import io.microsnap.core.PausableMachine;
import io.microsnap.core.Region;
import io.microsnap.core.SnapshotId;
import io.microsnap.core.internal.posix.Posix;
import io.microsnap.dirty.DirtyTracker;
import io.microsnap.machine.GuestProgram;
import io.microsnap.machine.Pattern;
import io.microsnap.machine.SmallMachine;
import io.microsnap.machine.SmallMachineSpec;
import io.microsnap.machine.Touch;
import io.microsnap.memory.Capture;
import io.microsnap.memory.Restore;
import io.microsnap.memory.RestoreEngine;
import io.microsnap.memory.RestoredSnapshot;
import io.microsnap.store.StoreOptions;
import io.microsnap.store.internal.DirectoryStore;
import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.List;
import java.util.stream.Stream;

/** A process that makes, runs, captures, restores and closes many machines, and says what of it was left. */
public final class ManyMachines {
    /** After so many machines it says what it holds. */
    static final int BETWEEN_LOOKS = 100;

    private static final long MIB = 1 << 20;
    private static final Touch TOUCH = new Touch(new Region(MIB, MIB), Pattern.RANDOM, 3, 20, 1);

    private ManyMachines() {
    }

    /** What a process holds. */
    private record Held(long descriptors, long mappings, long anonymousBytes) {
        static Held now() throws IOException {
            System.gc();
            long anonymous = 0;
            for (String line : Files.readAllLines(Path.of("/proc/self/smaps_rollup"))) {
                if (line.startsWith("Anonymous:")) {
                    anonymous = Long.parseLong(line.replaceAll("\\D", "")) << 10;
                }
            }
            try (Stream<Path> open = Files.list(Path.of("/proc/self/fd"))) {
                return new Held(open.count(), Files.readAllLines(Path.of("/proc/self/maps")).size(), anonymous);
            }
        }
    }

    /** Arguments: a directory, how many. */
    public static void main(String[] arguments) throws Exception {
        int machines = Integer.parseInt(arguments[1]);
        try (DirectoryStore store = DirectoryStore.openOrCreate(
                Posix.host(), Path.of(arguments[0]).resolve("store"), StoreOptions.PRIVATE);
                Kvm kvm = Kvm.open(Posix.host())) {
            for (int warming = 0; warming < 100; warming++) {
                live(kvm, store, warming);
            }
            Held before = Held.now();
            System.out.println("0 machines: " + before);
            for (int machine = 0; machine < machines; machine++) {
                live(kvm, store, machine);
                if ((machine + 1) % BETWEEN_LOOKS == 0) {
                    System.out.println((machine + 1) + " machines: " + Held.now());
                }
            }
            Held after = Held.now();
            System.out.println(before + " then " + after);
            System.out.println("grown " + (after.descriptors() - before.descriptors()) + " "
                    + (after.mappings() - before.mappings()) + " "
                    + (after.anonymousBytes() - before.anonymousBytes()));
        }
    }

    private static void live(Kvm kvm, DirectoryStore store, int number) throws Exception {
        SnapshotId id = new SnapshotId("machine-" + number);
        List<DirtyTracking> kinds = List.of(DirtyTracking.values());
        SmallMachineSpec spec = SmallMachineSpec.ofRam(4 * MIB).withVcpus(1 + number % 2)
                .withTracking(kinds.get(number % kinds.size()));
        try (SmallMachine machine = SmallMachine.create(kvm, spec);
                DirtyTracker tracker = DirtyTracker.of(spec.layout(), machine.openDirtySource())) {
            machine.load(0, GuestProgram.touch(TOUCH));
            tracker.arm();
            machine.resume();
            while (!machine.hasFinished(0)) {
                Thread.onSpinWait();
            }
            machine.pause();
            Capture.of(store, id, machine.memory().reader()).tracker(tracker)
                    .take(PausableMachine.pausedAlready(machine.saveState()));
        }
        try (RestoredSnapshot restored = Restore.of(store, id).restore(RestoreEngine.LAZY);
                SmallMachine machine = SmallMachine.restore(kvm, restored.memory(), restored.machineState())) {
            if (machine.counter(0) != TOUCH.touchesPerRound()) {
                throw new AssertionError("the counter says " + machine.counter(0));
            }
        }
        store.delete(id);
    }
}
