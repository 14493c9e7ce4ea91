package io.microsnap.cli;

import io.microsnap.core.MachineStateSection;
import io.microsnap.core.PageReader;
import io.microsnap.core.Region;
import io.microsnap.core.internal.posix.Posix;
import io.microsnap.core.internal.work.Closing;
import io.microsnap.dirty.DirtyTracker;
import io.microsnap.kvm.Kvm;
import io.microsnap.kvm.KvmGuest;
import io.microsnap.machine.GuestProgram;
import io.microsnap.machine.Pattern;
import io.microsnap.machine.SmallMachine;
import io.microsnap.machine.SmallMachineSpec;
import io.microsnap.machine.Touch;
import io.microsnap.memory.RestoredSnapshot;
import java.io.Closeable;
import java.io.IOException;
import java.util.List;

/** A real guest on KVM. */
final class KvmDemoGuest implements DemoGuest {
    private static final int SEED = 2026;
    private static final int PAGES_PER_ROUND = 256;

    private static final long RUN_BYTES = 64 << 10;
    private static final int SPINS_UNWATCHED = 1 << 12;

    private final SmallMachine machine;
    private final KvmGuest guest;
    private final long workingPages;
    /** The source of the machine's memory, closed after the machine. */
    private final Closeable origin;

    private KvmDemoGuest(SmallMachine machine, KvmGuest guest, long workingPages, Closeable origin) {
        this.machine = machine;
        this.guest = guest;
        this.workingPages = workingPages;
        this.origin = origin;
    }

    /** Returns a factory of guests on this machine's KVM; throws, with the reason, if KVM cannot be used. */
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
            SmallMachine machine = SmallMachine.create(kvm, SmallMachineSpec.ofRam(ramBytes));
            try {
                Region all = machine.reach().getFirst().guest();
                Region range = new Region(all.guestAddress(), all.lengthBytes() * 3 / 8 / RUN_BYTES * RUN_BYTES);
                machine.load(0, GuestProgram.touch(new Touch(range, Pattern.RUNS, SEED, PAGES_PER_ROUND, 0)));
                return new KvmDemoGuest(machine, machine.guest(),
                        range.lengthBytes() / machine.memory().layout().pageBytes(), () -> { });
            } catch (IOException | RuntimeException failure) {
                Closing.closeAfter(failure, machine);
                throw failure;
            }
        }

        @Override
        public DemoGuest restore(RestoredSnapshot snapshot) throws IOException {
            try {
                SmallMachine machine = SmallMachine.restore(kvm, snapshot.memory(), snapshot.machineState());
                try {
                    return new KvmDemoGuest(machine, machine.guest(snapshot), 0, snapshot::close);
                } catch (IOException | RuntimeException failure) {
                    Closing.closeAfter(failure, machine);
                    throw failure;
                }
            } catch (IOException | RuntimeException failure) {
                Closing.closeAfter(failure, snapshot);
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
        // Checks for a failed guest, which stops counting; only rarely, because each check delays its thread.
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
        return guest.reader();
    }

    @Override
    public DirtyTracker tracker() {
        return guest.tracker();
    }

    @Override
    public void pause() throws IOException {
        // A resting guest has left KVM already; resume it, so that the measured pause is a real one.
        guest.resume();
        guest.pause();
    }

    @Override
    public List<MachineStateSection> saveState() throws IOException {
        return guest.saveState();
    }

    @Override
    public void resume() throws IOException {
        guest.resume();
        guest.pause();
    }

    @Override
    public void close() throws IOException {
        try (origin; machine; guest) {
            // Closes from the last to the first, each even if another one fails.
        }
    }
}
