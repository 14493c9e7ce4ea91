package io.microsnap.cli;

import io.microsnap.core.GuestMemoryReader;
import io.microsnap.core.MachineStateSection;
import io.microsnap.core.PageReader;
import io.microsnap.core.Region;
import io.microsnap.core.internal.posix.Posix;
import io.microsnap.dirty.DirtyTracker;
import io.microsnap.kvm.Kvm;
import io.microsnap.kvm.machine.GuestProgram;
import io.microsnap.kvm.machine.MachineSpec;
import io.microsnap.kvm.machine.Pattern;
import io.microsnap.kvm.machine.SmallMachine;
import io.microsnap.kvm.machine.Touch;
import io.microsnap.memory.RestoredSnapshot;
import java.io.IOException;
import java.util.List;
import java.util.Optional;

/** A real guest on KVM. */
final class KvmDemoGuest implements DemoGuest {
    private static final int SEED = 2026;
    private static final int PAGES_PER_ROUND = 256;

    private static final long RUN_BYTES = 64 << 10;
    private static final int SPINS_UNWATCHED = 1 << 12;

    private final SmallMachine machine;
    private final long workingPages;
    private final Optional<DirtyTracker> tracker;
    private final Optional<RestoredSnapshot> restored;

    private KvmDemoGuest(SmallMachine machine, long workingPages, Optional<DirtyTracker> tracker,
            Optional<RestoredSnapshot> restored) {
        this.machine = machine;
        this.workingPages = workingPages;
        this.tracker = tracker;
        this.restored = restored;
    }

    /** Guests on this machine's KVM; an exception that says why not where it cannot be used. */
    static DemoGuest.Factory factory(Posix posix) throws IOException {
        return new OnKvm(Kvm.open());
    }

    private record OnKvm(Kvm kvm) implements DemoGuest.Factory {
        @Override
        public String name() {
            return "kvm";
        }

        @Override
        public DemoGuest boot(long ramBytes) throws IOException {
            SmallMachine machine = SmallMachine.create(kvm, MachineSpec.ofRam(ramBytes));
            try {
                Region all = machine.reach().getFirst().guest();
                Region range = new Region(all.guestAddress(), all.lengthBytes() * 3 / 8 / RUN_BYTES * RUN_BYTES);
                machine.load(0, GuestProgram.touch(new Touch(range, Pattern.RUNS, SEED, PAGES_PER_ROUND, 0)));
                DirtyTracker tracker = DirtyTracker.of(machine.memory().layout(), machine.openDirtySource());
                return new KvmDemoGuest(machine, range.lengthBytes() / tracker.layout().pageBytes(),
                        Optional.of(tracker), Optional.empty());
            } catch (IOException | RuntimeException failure) {
                closeAfter(failure, machine);
                throw failure;
            }
        }

        @Override
        public DemoGuest restore(RestoredSnapshot snapshot) throws IOException {
            try {
                return new KvmDemoGuest(SmallMachine.restore(kvm, snapshot.memory(), snapshot.machineState()), 0,
                        Optional.empty(), Optional.of(snapshot));
            } catch (IOException | RuntimeException failure) {
                closeAfter(failure, snapshot);
                throw failure;
            }
        }

        @Override
        public void close() throws IOException {
            kvm.close();
        }
    }

    @Override
    public long counter() {
        return machine.counter(0);
    }

    @Override
    public long workingPages() {
        return workingPages;
    }

    @Override
    public void runFor(long pages) throws IOException {
        long enough = counter() + pages;
        machine.resume();
        // A guest that failed counts no further. Asked seldom, for its own thread has to wait for the answer.
        for (int spins = 0; counter() < enough && (spins % SPINS_UNWATCHED != 0 || machine.isRunning(0)); spins++) {
            Thread.onSpinWait();
        }
        machine.pause();
    }

    @Override
    public boolean checksItself() throws IOException, InterruptedException {
        machine.resume();
        boolean holds = machine.selfCheck(0).holds();
        machine.pause();
        return holds;
    }

    @Override
    public PageReader reader() {
        return new GuestMemoryReader(machine.memory());
    }

    @Override
    public DirtyTracker tracker() {
        return tracker.orElseThrow();
    }

    @Override
    public void pause() throws IOException {
        // At rest it is out of KVM already; a pause is to cost what it costs.
        machine.resume();
        machine.pause();
    }

    @Override
    public List<MachineStateSection> saveState() throws IOException {
        return machine.saveState();
    }

    @Override
    public void resume() throws IOException {
        machine.resume();
        machine.pause();
    }

    @Override
    public void close() throws IOException {
        try {
            if (tracker.isPresent()) {
                tracker.get().close();
            }
        } finally {
            try {
                machine.close();
            } finally {
                if (restored.isPresent()) {
                    restored.get().close();
                }
            }
        }
    }

    private static void closeAfter(Exception failure, AutoCloseable opened) {
        try {
            opened.close();
        } catch (Exception second) {
            failure.addSuppressed(second);
        }
    }
}
