package io.microsnap.kvm;

import io.microsnap.core.GuestMemory;
import io.microsnap.core.MachineStateSection;
import io.microsnap.core.Region;
import io.microsnap.core.SnapshotException;
import io.microsnap.core.internal.posix.Descriptor;
import io.microsnap.core.internal.posix.Posix;
import io.microsnap.core.internal.work.Closing;
import io.microsnap.dirty.DirtySource;
import io.microsnap.kvm.internal.abi.Capability;
import io.microsnap.kvm.internal.abi.Numbers;
import io.microsnap.kvm.internal.abi.Request;
import io.microsnap.kvm.internal.abi.Structs;
import java.io.IOException;
import java.lang.foreign.Arena;
import java.lang.foreign.MemoryLayout.PathElement;
import java.lang.foreign.MemorySegment;
import java.lang.foreign.ValueLayout;
import java.lang.invoke.VarHandle;
import java.util.ArrayList;
import java.util.List;

/**
 * A VM of KVM: its memory slots, its vCPUs, and its dirty tracking. It is either made here, through {@link Kvm}, or
 * {@linkplain #attach attached} to a VM that a VMM in this process owns. Safe for use by any number of threads; {@link
 * Vcpu} says what must run on a vCPU's thread.
 */
public final class VirtualMachine implements AutoCloseable {
    private static final VarHandle CAP = Structs.member(Structs.KVM_ENABLE_CAP, "cap");
    private static final long ARGUMENTS =
            Structs.KVM_ENABLE_CAP.byteOffset(PathElement.groupElement("args"));
    /** Three pages that some processors need to run real mode: below the firmware, above any sensible memory. */
    private static final long TASK_STATE_ADDRESS = 0xfffb_d000L;

    private final KvmDescriptor descriptor;
    private final DirtyTracking tracking;
    /** Null for an attached VM. */
    private final Kvm maker;
    private final List<Vcpu> vcpus = new ArrayList<>();
    private final int ringBytes;
    private MemorySlots slots;
    private GuestMemory.Hold hold = GuestMemory.Hold.NOTHING;
    private DirtyRings rings;
    private ModelSpecificRegisters modelSpecificRegisters;
    private DirtySource source;
    private boolean closed;

    private VirtualMachine(KvmDescriptor descriptor, DirtyTracking tracking, Kvm maker, int ringBytes) {
        this.descriptor = descriptor;
        this.tracking = tracking;
        this.maker = maker;
        this.ringBytes = ringBytes;
    }

    /** Makes a VM that owns the descriptor; closes it on failure. */
    static VirtualMachine created(Kvm kvm, KvmDescriptor vm, DirtyTracking tracking, int ringEntries)
            throws IOException {
        try {
            int ringBytes = 0;
            switch (tracking) {
                case LOG -> { }
                case MANUAL_CLEAR -> {
                    int offered = vm.capability(Capability.KVM_CAP_MANUAL_DIRTY_LOG_PROTECT2);
                    if (offered == 0) {
                        throw lacks(tracking, Capability.KVM_CAP_MANUAL_DIRTY_LOG_PROTECT2);
                    }
                    enable(vm, Capability.KVM_CAP_MANUAL_DIRTY_LOG_PROTECT2, offered
                            & (Numbers.KVM_DIRTY_LOG_MANUAL_PROTECT_ENABLE | Numbers.KVM_DIRTY_LOG_INITIALLY_SET));
                }
                case RING -> ringBytes = DirtyRings.enable(vm, ringEntries);
            }
            if (vm.capability(Capability.KVM_CAP_SET_TSS_ADDR) != 0) {
                vm.call(Request.KVM_SET_TSS_ADDR, TASK_STATE_ADDRESS);
            }
            return new VirtualMachine(vm, tracking, kvm, ringBytes);
        } catch (Throwable failure) {
            Closing.closeAfter(failure, vm);
            throw failure;
        }
    }

    /**
     * Attaches to a VM that a VMM in this process owns and runs. This changes only the dirty-log flag of the named
     * slots, while a dirty source is armed, and restores it afterwards. The VMM must pause the guest during captures.
     * After adding, moving or removing a slot it must call {@link #slotsChanged}, before it unmaps that slot's memory.
     * It must never unmap memory during a capture: that would kill the process.
     *
     * @param vm the VMM's descriptor of the VM, which the VMM keeps
     * @param vcpus its descriptors of the vCPUs, in order; empty if the VMM saves machine state itself
     * @param slots the slots to capture; a slot that is logged already stays so, but its log is taken. Of two slots
     * with the same memory, name the one first whose address a restored VM will use
     * @param tracking {@link DirtyTracking#MANUAL_CLEAR} if, and only if, the VMM has enabled that; otherwise
     *     {@link DirtyTracking#LOG}
     */
    public static VirtualMachine attach(
            int vm, List<Integer> vcpus, List<MemorySlot> slots, DirtyTracking tracking) throws IOException {
        return attach(Posix.host(), vm, vcpus, slots, tracking);
    }

    static VirtualMachine attach(
            Posix posix, int vm, List<Integer> vcpus, List<MemorySlot> slots, DirtyTracking tracking)
            throws IOException {
        if (tracking == DirtyTracking.RING) {
            throw new IllegalArgumentException("only the VMM that runs the vCPUs can empty a dirty ring; track this"
                    + " VM's memory with the page-map scan instead");
        }
        KvmDescriptor descriptor = KvmDescriptor.duplicate(posix, vm, "VM of descriptor " + vm);
        VirtualMachine machine = new VirtualMachine(descriptor, tracking, null, 0);
        try {
            descriptor.call(Request.KVM_CHECK_EXTENSION, Capability.KVM_CAP_NR_MEMSLOTS.number());
            machine.slots = MemorySlots.attached(descriptor, slots);
            for (int index = 0; index < vcpus.size(); index++) {
                KvmDescriptor vcpu = KvmDescriptor.duplicate(posix, vcpus.get(index), "vCPU " + index);
                machine.vcpus.add(Vcpu.attached(vcpu, index));
            }
            return machine;
        } catch (Throwable failure) {
            Closing.closeAfter(failure, machine);
            throw failure;
        }
    }

    /**
     * Gives the guest its memory: a slot for each region. Call this once, before a vCPU runs. The caller owns the
     * memory and may close it before the VM, which keeps it mapped for its guest until the VM is closed.
     */
    public synchronized void register(GuestMemory memory) throws IOException {
        checkOpen();
        if (slots != null) {
            throw new IllegalStateException(descriptor.name() + " has its memory already");
        }
        GuestMemory.Hold taken = memory.hold();
        try {
            slots = MemorySlots.register(descriptor, memory);
            hold = taken;
        } catch (Throwable failure) {
            try (taken) {
                throw failure;
            }
        }
        if (ringBytes > 0) {
            rings = new DirtyRings(descriptor, slots);
            for (Vcpu vcpu : vcpus) {
                rings.add(vcpu, ringBytes);
            }
        }
    }

    /** Returns the guest's memory. */
    public synchronized GuestMemory memory() {
        return slots().memory();
    }

    /** Returns every slot, aliases included, in ascending order of their numbers. */
    public synchronized List<MemorySlot> memorySlots() {
        return slots().all().stream().map(MemorySlots.Placed::slot).toList();
    }

    /**
     * Shows the guest a part of its memory at a second address. If a dirty source is armed, this makes its epoch
     * invalid, because writes through the new slot would be unknown.
     */
    public synchronized MemorySlot addAlias(Region guest, long imageOffset) throws IOException {
        checkOwned();
        return slots().add(guest, imageOffset);
    }

    /** Removes an alias; as with {@link #addAlias}, an armed source's epoch becomes invalid. */
    public synchronized void removeAlias(MemorySlot alias) throws IOException {
        checkOwned();
        if (alias.number() < slots().memory().layout().regions().size()) {
            throw new IllegalArgumentException(alias + " is a region of the guest's memory, not an alias");
        }
        slots().remove(alias);
    }

    /**
     * Declares the new slots of an attached VM. They must show memory that was attached. An armed source's epoch
     * becomes invalid. If they no longer show all of that memory, or show other memory, captures fail before they read
     * anything; then attach again. Do not call this during a capture.
     */
    public synchronized void slotsChanged(List<MemorySlot> now) {
        checkOpen();
        slots().replace(now);
    }

    /**
     * Makes a vCPU in the state of a processor after reset, with all the features that KVM offers here. To choose other
     * features, call {@code KVM_SET_CPUID2} before it first runs.
     */
    public synchronized Vcpu createVcpu() throws IOException {
        checkOwned();
        int index = vcpus.size();
        int limit = descriptor.capability(Capability.KVM_CAP_MAX_VCPUS);
        if (index >= limit) {
            throw new SnapshotException(descriptor.name() + " has " + index + " vCPUs, the most that this KVM allows");
        }
        int number = descriptor.call(Request.KVM_CREATE_VCPU, index);
        Vcpu vcpu = Vcpu.created(new KvmDescriptor(
                Descriptor.adopt(descriptor.posix(), number, "vCPU " + index)), index, maker.runPageBytes());
        vcpus.add(vcpu);
        try (Arena arena = Arena.ofConfined()) {
            vcpu.call(Request.KVM_SET_CPUID2, Cpuid.forVcpu(maker.supportedCpuid(), index, arena));
        }
        if (rings != null) {
            rings.add(vcpu, ringBytes);
        }
        return vcpu;
    }

    /** Returns the vCPUs in the order in which they were made. */
    public synchronized List<Vcpu> vcpus() {
        return List.copyOf(vcpus);
    }

    /** Gives the guest KVM's own interrupt controllers. Call this before the first vCPU is made. */
    public synchronized void createInterruptChip() throws IOException {
        checkOwned();
        descriptor.call(Request.KVM_CREATE_IRQCHIP, 0);
    }

    /** Gives the guest KVM's own interval timer; it needs the interrupt chip. */
    public synchronized void createTimer() throws IOException {
        checkOwned();
        try (Arena arena = Arena.ofConfined()) {
            descriptor.call(Request.KVM_CREATE_PIT2, arena.allocate(Structs.KVM_PIT_CONFIG));
        }
    }

    /**
     * Saves the state of this VM, whose vCPUs do not run, beside its memory. Any thread may call this; for an attached
     * VM the VMM must have paused them. If one runs all the same, this waits until it leaves the guest.
     */
    public List<MachineStateSection> saveState(Kvm kvm) throws IOException {
        return MachineState.save(kvm, this).sections();
    }

    /**
     * Loads what {@link #saveState} returned; sections whose names do not begin with {@code kvm.} are ignored. The VM
     * has its memory, as many vCPUs and the same chips as the saved one ({@link MachineSpec#of}), and has not run.
     * Changes nothing if the state does not fit; after any other failure the VM is unusable and should be closed.
     *
     * @throws io.microsnap.core.DamagedException if a section has not the form in which it was saved
     * @throws io.microsnap.core.IncompatibleStateException with every difference, if the state does not fit
     */
    public void loadState(Kvm kvm, List<MachineStateSection> state) throws IOException {
        MachineState.of(state).load(kvm, this);
    }

    /** Returns its kind of dirty tracking. */
    public DirtyTracking tracking() {
        return tracking;
    }

    /**
     * Opens a dirty source that reports the guest's writes through any slot. There is one at a time: close it before
     * opening the next. Closing the VM closes it.
     */
    public synchronized DirtySource openDirtySource() throws IOException {
        checkOpen();
        if (source instanceof SlotSource present && !present.isClosed()) {
            throw new IllegalStateException("a dirty source of this VM is open; close it first, because two would"
                    + " take pages from each other");
        }
        source = tracking == DirtyTracking.RING
                ? new DirtyRingSource(slots(), rings)
                : new DirtyLogSource(descriptor, slots(), tracking == DirtyTracking.MANUAL_CLEAR);
        return source;
    }

    /**
     * Empties the dirty rings after a vCPU left with {@link VcpuExit.Plain#DIRTY_RING_FULL}. Any thread may call this.
     */
    public void dirtyRingFull() throws IOException {
        DirtyRings present;
        synchronized (this) {
            checkOpen();
            present = rings;
        }
        if (present == null) {
            throw new IllegalStateException(descriptor.name() + " has no dirty rings");
        }
        present.makeRoom();
    }

    /** Returns the answer of this VM's KVM for a capability. */
    int capability(Capability capability) throws IOException {
        return descriptor.capability(capability);
    }

    /** Makes one of the VM's ioctls that take a struct. */
    int call(Request request, MemorySegment struct) throws IOException {
        return descriptor.call(request, struct);
    }

    /** Returns the registers that are part of its vCPUs' state. */
    synchronized ModelSpecificRegisters modelSpecificRegisters(Kvm kvm) throws IOException {
        if (modelSpecificRegisters == null) {
            modelSpecificRegisters = ModelSpecificRegisters.listed(kvm.descriptor());
        }
        return modelSpecificRegisters;
    }

    KvmDescriptor descriptor() {
        return descriptor;
    }

    static void enable(KvmDescriptor vm, Capability capability, long argument) throws IOException {
        try (Arena arena = Arena.ofConfined()) {
            MemorySegment request = arena.allocate(Structs.KVM_ENABLE_CAP);
            CAP.set(request, capability.number());
            request.set(ValueLayout.JAVA_LONG, ARGUMENTS, argument);
            vm.call(Request.KVM_ENABLE_CAP, request, "of " + capability + " with " + argument);
        }
    }

    static SnapshotException lacks(DirtyTracking tracking, Capability capability) {
        return new SnapshotException("this kernel's KVM lacks " + capability + ", so dirty tracking by "
                + tracking + " is unavailable; leave the choice to microsnap, or use " + DirtyTracking.LOG);
    }

    private MemorySlots slots() {
        checkOpen();
        if (slots == null) {
            throw new IllegalStateException(descriptor.name() + " has no memory yet");
        }
        return slots;
    }

    private void checkOwned() {
        checkOpen();
        if (maker == null) {
            throw new IllegalStateException(descriptor.name() + " belongs to the VMM that made it and cannot be"
                    + " changed here");
        }
    }

    /**
     * Releases the hold on the memory. If its slots could not be removed, it stays mapped for ever, so that the guest
     * cannot write memory that reuses the addresses.
     */
    private void letGoOfMemory() throws IOException {
        slots.removeAll();
        hold.close();
    }

    private synchronized void checkOpen() {
        if (closed) {
            throw new IllegalStateException(descriptor.name() + " is closed");
        }
    }

    /**
     * Closes the dirty source, interrupts and closes the vCPUs, and releases the VM and the hold on its memory, which
     * the caller closes. For an attached VM only the attachment ends. A second call does nothing.
     */
    @Override
    public void close() throws IOException {
        List<AutoCloseable> parts = new ArrayList<>();
        synchronized (this) {
            if (closed) {
                return;
            }
            closed = true;
            if (source != null) {
                parts.add(source);
            }
            if (rings != null) {
                parts.add(rings);
            }
            parts.addAll(vcpus);
            if (slots != null) {
                parts.add(maker == null ? slots.memory() : this::letGoOfMemory);
            }
            parts.add(descriptor);
        }
        IOException first = null;
        for (AutoCloseable part : parts) {
            try {
                part.close();
            } catch (IOException failure) {
                first = first == null ? failure : first;
            } catch (Exception failure) {
                first = first == null ? new SnapshotException(failure.getMessage(), failure) : first;
            }
        }
        if (first != null) {
            throw first;
        }
    }
}
