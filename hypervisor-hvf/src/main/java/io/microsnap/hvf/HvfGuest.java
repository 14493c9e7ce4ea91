package io.microsnap.hvf;

import io.microsnap.core.GuestLayout;
import io.microsnap.core.GuestMemory;
import io.microsnap.core.HugePages;
import io.microsnap.core.IncompatibleStateException;
import io.microsnap.core.MachineStateSection;
import io.microsnap.core.PageReader;
import io.microsnap.core.PausableMachine;
import io.microsnap.core.internal.file.GuestRam;
import io.microsnap.core.internal.posix.Posix;
import io.microsnap.core.internal.work.Closing;
import io.microsnap.dirty.DirtySource;
import io.microsnap.dirty.DirtyTracker;
import io.microsnap.dirty.RestoredMachine;
import java.io.IOException;
import java.util.List;

/**
 * A guest of Hypervisor.framework with everything that a capture needs: a VM, a thread for each vCPU, its memory, its
 * dirty tracker, its state.
 *
 * <pre>{@code
 * try (HvfGuest guest = HvfGuest.create(Hvf.open(), MachineSpec.ofVcpus(2), layout, handler)) {
 *     guest.vcpus().getFirst().call(vcpu -> { vcpu.set(Register.PC, entry); vcpu.start(); return vcpu; });
 *     guest.resume();
 *     …
 *     Capture.of(store, id, guest.reader()).tracker(guest.tracker()).take(guest);
 * }
 * }</pre>
 *
 * <p>Closing it ends the VM and the threads, and memory that it made itself; the owner of other memory closes it
 * afterwards.
 */
public final class HvfGuest implements PausableMachine, AutoCloseable {
    private final VirtualMachine vm;
    private final PageReader reader;
    private final DirtyTracker tracker;
    private final Step freeMemory;

    private HvfGuest(VirtualMachine vm, DirtyTracker tracker, Step freeMemory) {
        this.vm = vm;
        this.tracker = tracker;
        this.freeMemory = freeMemory;
        reader = vm.memory().reader();
    }

    /** Makes a tracker from a dirty source. */
    private interface TrackerMaker {
        DirtyTracker make(DirtySource source) throws IOException;
    }

    private interface Step {
        void take() throws IOException;
    }

    /** Makes a new guest, paused, its vCPUs off, with memory of its own: zeros. */
    public static HvfGuest create(Hvf hvf, MachineSpec spec, GuestLayout layout, ExitHandler handler)
            throws IOException {
        GuestMemory memory = GuestRam.anonymous(Posix.host(), layout, HugePages.NONE);
        try {
            return create(hvf, spec, memory, handler, memory::close);
        } catch (Throwable failure) {
            try (memory) {
                throw failure;
            }
        }
    }

    /** Makes a new guest, paused, its vCPUs off, with the memory given. */
    public static HvfGuest create(Hvf hvf, MachineSpec spec, GuestMemory memory, ExitHandler handler)
            throws IOException {
        return create(hvf, spec, memory, handler, () -> { });
    }

    private static HvfGuest create(Hvf hvf, MachineSpec spec, GuestMemory memory, ExitHandler handler, Step freeMemory)
            throws IOException {
        VirtualMachine vm = hvf.createVirtualMachine(spec, memory);
        return new HvfGuest(vm, prepare(vm, handler, () -> { }, source -> DirtyTracker.of(memory.layout(), source)),
                freeMemory);
    }

    /**
     * Makes the guest of a snapshot, paused where that was; the first epoch of its tracker is relative to the snapshot.
     * The restored machine is closed after the guest.
     *
     * @throws IncompatibleStateException if the state is of another kind of Mac or another build of macOS
     */
    public static HvfGuest restored(Hvf hvf, RestoredMachine machine, ExitHandler handler) throws IOException {
        MachineState state = MachineState.of(machine.machineState());
        VirtualMachine vm = hvf.createVirtualMachine(state.spec(), machine.memory());
        return new HvfGuest(vm, prepare(vm, handler, () -> state.load(vm), machine::tracker), () -> { });
    }

    /** Gives the VM vCPUs and their state, and makes its tracker; closes the VM on failure. */
    private static DirtyTracker prepare(VirtualMachine vm, ExitHandler handler, Step loadState, TrackerMaker trackers)
            throws IOException {
        try {
            for (int index = 0; index < vm.spec().vcpus(); index++) {
                vm.createVcpu(handler);
            }
            loadState.take();
            return trackers.make(vm.openDirtySource());
        } catch (Throwable failure) {
            Closing.closeAfter(failure, vm);
            throw failure;
        }
    }

    /** Returns the guest's memory. */
    public GuestMemory memory() {
        return vm.memory();
    }

    /** Reads the guest's memory, for captures. */
    public PageReader reader() {
        return reader;
    }

    /** Returns the tracker of the guest's writes. Mark there what the host writes to guest memory. */
    public DirtyTracker tracker() {
        return tracker;
    }

    /** Returns the vCPUs, in order. */
    public List<Vcpu> vcpus() {
        return vm.vcpus();
    }

    /** Returns the VM behind it. */
    public VirtualMachine vm() {
        return vm;
    }

    /** Makes every vCPU leave the guest; when this returns, each has finished handling its last exit. */
    @Override
    public void pause() throws IOException {
        List<Vcpu> vcpus = vm.vcpus();
        for (Vcpu vcpu : vcpus) {
            vcpu.requestPause();
        }
        for (Vcpu vcpu : vcpus) {
            vcpu.awaitPause();
        }
    }

    @Override
    public List<MachineStateSection> saveState() throws IOException {
        return vm.saveState();
    }

    /** Lets every vCPU run that is on. */
    @Override
    public void resume() throws IOException {
        for (Vcpu vcpu : vm.vcpus()) {
            vcpu.resume();
        }
    }

    /** Ends vCPUs, tracker, VM and memory, in this order. A second call does nothing, or retries what failed. */
    @Override
    public void close() throws IOException {
        vm.endVcpus();
        try (vm) {
            tracker.close();
        }
        freeMemory.take();
    }
}
