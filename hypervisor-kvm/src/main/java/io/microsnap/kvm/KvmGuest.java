package io.microsnap.kvm;

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
import java.io.Closeable;
import java.io.IOException;
import java.util.List;
import java.util.Objects;

/**
 * A guest of KVM with everything that a capture needs: a VM, its memory, its dirty tracker, its state. The VM manager
 * provides the threads on which its vCPUs run ({@link VcpuThreads}).
 *
 * <pre>{@code
 * try (Kvm kvm = …; KvmGuest guest = KvmGuest.create(kvm, MachineSpec.ofVcpus(2), layout, MyThreads::start)) {
 *     guest.resume();
 *     …
 *     Capture.of(store, id, guest.reader()).tracker(guest.tracker()).take(guest);
 * }
 * }</pre>
 *
 * <p>Closing it ends the threads and the VM, and memory that it made itself; the owner of other memory closes it
 * afterwards.
 */
public final class KvmGuest implements PausableMachine, AutoCloseable {
    private static final Closeable NOTHING = () -> { };

    private final Kvm kvm;
    private final VirtualMachine vm;
    private final PageReader reader;
    private final DirtyTracker tracker;
    private final VcpuThreads threads;
    private final Closeable ownMemory;

    private KvmGuest(Kvm kvm, VirtualMachine vm, DirtyTracker tracker, VcpuThreads threads, Closeable ownMemory) {
        this.kvm = kvm;
        this.vm = vm;
        this.tracker = tracker;
        this.threads = threads;
        this.ownMemory = ownMemory;
        reader = vm.memory().reader();
    }

    /** Makes a tracker from a dirty source. */
    private interface TrackerMaker {
        DirtyTracker make(DirtySource source) throws IOException;
    }

    private interface StateLoader {
        void load(VirtualMachine vm) throws IOException;
    }

    /** Makes a new guest, paused, its vCPUs as after reset, with memory of its own: zeros. */
    public static KvmGuest create(Kvm kvm, MachineSpec spec, GuestLayout layout, VcpuThreads.Starter starter)
            throws IOException {
        GuestMemory memory = GuestRam.anonymous(Posix.host(), layout, HugePages.NONE);
        try {
            return create(kvm, spec, memory, starter, memory::close);
        } catch (Throwable failure) {
            try (memory) {
                throw failure;
            }
        }
    }

    /** Makes a new guest, paused, its vCPUs as after reset, with the memory given. */
    public static KvmGuest create(Kvm kvm, MachineSpec spec, GuestMemory memory, VcpuThreads.Starter starter)
            throws IOException {
        return create(kvm, spec, memory, starter, NOTHING);
    }

    private static KvmGuest create(
            Kvm kvm, MachineSpec spec, GuestMemory memory, VcpuThreads.Starter starter, Closeable ownMemory)
            throws IOException {
        VirtualMachine vm = machine(kvm, spec, memory, spec.interruptChip(), made -> { });
        return withThreads(kvm, vm, source -> DirtyTracker.of(memory.layout(), source), starter, ownMemory);
    }

    /**
     * Makes the guest of a snapshot, paused where that was; the first epoch of its tracker is relative to the snapshot.
     * The restored machine is closed after the guest.
     *
     * @throws IncompatibleStateException if this KVM or processor cannot take the state
     */
    public static KvmGuest restored(Kvm kvm, RestoredMachine machine, VcpuThreads.Starter starter)
            throws IOException {
        MachineState state = MachineState.of(machine.machineState());
        VirtualMachine vm = machine(
                kvm, MachineSpec.of(state), machine.memory(), state.hasTimer(), made -> state.load(kvm, made));
        return withThreads(kvm, vm, machine::tracker, starter, NOTHING);
    }

    /**
     * Makes a guest of a VM that has its memory and its vCPUs: made here, or attached with the descriptors of its
     * vCPUs. If this throws, the caller closes the VM and the threads; otherwise the guest closes them.
     */
    public static KvmGuest of(Kvm kvm, VirtualMachine vm, VcpuThreads threads) throws IOException {
        return of(kvm, vm, source -> DirtyTracker.of(vm.memory().layout(), source), threads);
    }

    /**
     * Makes a guest of a VM into which the VM manager itself has loaded a snapshot's state, as a VM with aliases needs
     * it. The VM's memory is the snapshot's; the first epoch of its tracker is relative to the snapshot.
     */
    public static KvmGuest restored(Kvm kvm, VirtualMachine vm, RestoredMachine machine, VcpuThreads threads)
            throws IOException {
        if (vm.memory() != machine.memory()) {
            throw new IllegalArgumentException("the VM has other memory than the restored machine; register that");
        }
        return of(kvm, vm, machine::tracker, threads);
    }

    private static KvmGuest of(Kvm kvm, VirtualMachine vm, TrackerMaker trackers, VcpuThreads threads)
            throws IOException {
        Objects.requireNonNull(kvm);
        Objects.requireNonNull(threads);
        if (vm.vcpus().isEmpty()) {
            throw new IllegalStateException("the VM has no vCPUs, so its state cannot be saved; create them first, or"
                    + " attach to the VM with their descriptors");
        }
        DirtySource source = vm.openDirtySource();
        try {
            return new KvmGuest(kvm, vm, trackers.make(source), threads, NOTHING);
        } catch (Throwable failure) {
            Closing.closeAfter(failure, source);
            throw failure;
        }
    }

    /** Makes a VM with memory, controllers, vCPUs and their state; if a step fails, nothing stays open. */
    private static VirtualMachine machine(Kvm kvm, MachineSpec spec, GuestMemory memory, boolean timer,
            StateLoader state) throws IOException {
        VirtualMachine vm = kvm.createVirtualMachine(
                spec.tracking().isPresent() ? spec.tracking().get() : kvm.bestDirtyTracking());
        try {
            vm.register(memory);
            if (spec.interruptChip()) {
                vm.createInterruptChip();
            }
            if (timer) {
                vm.createTimer();
            }
            for (int vcpu = 0; vcpu < spec.vcpus(); vcpu++) {
                vm.createVcpu();
            }
            state.load(vm);
            return vm;
        } catch (Throwable failure) {
            Closing.closeAfter(failure, vm);
            throw failure;
        }
    }

    private static KvmGuest withThreads(Kvm kvm, VirtualMachine vm, TrackerMaker trackers,
            VcpuThreads.Starter starter, Closeable ownMemory) throws IOException {
        try {
            DirtyTracker tracker = trackers.make(vm.openDirtySource());
            try {
                return new KvmGuest(kvm, vm, tracker, Objects.requireNonNull(starter.start(vm)), ownMemory);
            } catch (Throwable failure) {
                Closing.closeAfter(failure, tracker);
                throw failure;
            }
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

    /** Makes every vCPU leave the guest. */
    @Override
    public void pause() throws IOException {
        threads.pause();
    }

    @Override
    public List<MachineStateSection> saveState() throws IOException {
        return vm.saveState(kvm);
    }

    /** Lets the vCPUs run again. */
    @Override
    public void resume() throws IOException {
        threads.resume();
    }

    /** Ends threads, tracker, VM and memory, in this order, each also if one before it failed. May be repeated. */
    @Override
    public void close() throws IOException {
        try (ownMemory; vm; tracker) {
            threads.close();
        }
    }
}
