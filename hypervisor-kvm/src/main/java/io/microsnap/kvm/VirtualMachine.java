package io.microsnap.kvm;

import io.microsnap.core.GuestMemory;
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
 * A VM of KVM: its memory slots, its vCPUs, and what its guest wrote. Either made here, through {@link Kvm}, or
 * {@linkplain #attach attached} to one that a VMM in this process owns. Safe for use by any number of threads; what
 * belongs to a vCPU's thread is said there.
 */
public final class VirtualMachine implements AutoCloseable {
    private static final VarHandle CAP = Structs.member(Structs.KVM_ENABLE_CAP, "cap");
    private static final long ARGUMENTS =
            Structs.KVM_ENABLE_CAP.byteOffset(PathElement.groupElement("args"));
    /** Three pages that some processors need to run real mode: below the firmware, above any sensible memory. */
    private static final long TASK_STATE_ADDRESS = 0xfffb_d000L;

    private final KvmDescriptor descriptor;
    private final DirtyTracking tracking;
    /** Null where the VM is somebody else's. */
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

    /** Takes over the descriptor, whatever comes of it. */
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
     * Attaches to a VM that somebody else in this process owns and runs. Nothing of it is changed but the dirty-log
     * flag of the slots named, while a dirty source is armed; that is put back. The VMM pauses the guest during
     * captures, and says with {@link #slotsChanged} when it added, moved or removed a slot, before it unmaps the memory
     * of one. It never unmaps memory during a capture: that would kill the process.
     *
     * @param vm the VMM's descriptor of the VM, which stays the VMM's
     * @param vcpus its descriptors of the vCPUs, in order; none where machine state is saved by the VMM itself
     * @param slots the slots to capture; a slot logged already is left so, and what it logs is taken. Of two that show
     *     the same memory name first the one by whose address a restored VM will have it
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
            throw new IllegalArgumentException("a dirty ring is emptied by the VMM that runs the vCPUs; where it has"
                    + " one, track this VM's memory with the page-map scan");
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
     * Gives the guest its memory: a slot for each region. Once, and before a vCPU runs. The memory stays the
     * caller's. It may be closed before the VM, which keeps it mapped for its guest until the VM is closed.
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

    /** The guest's memory. */
    public synchronized GuestMemory memory() {
        return slots().memory();
    }

    /** Every slot, aliases included, in ascending order of their numbers. */
    public synchronized List<MemorySlot> memorySlots() {
        return slots().all().stream().map(MemorySlots.Placed::slot).toList();
    }

    /**
     * Shows the guest a part of its memory at a second address. While a dirty source is armed this makes its epoch
     * invalid: what was written through the new slot would not be known.
     */
    public synchronized MemorySlot addAlias(Region guest, long imageOffset) throws IOException {
        checkOwned();
        return slots().add(guest, imageOffset);
    }

    /** Takes an alias away; as with {@link #addAlias}, an armed source's epoch becomes invalid. */
    public synchronized void removeAlias(MemorySlot alias) throws IOException {
        checkOwned();
        if (alias.number() < slots().memory().layout().regions().size()) {
            throw new IllegalArgumentException(alias + " is a region of the guest's memory and no alias");
        }
        slots().remove(alias);
    }

    /**
     * For the VMM of an attached VM: these are its slots from now on. They must show memory that was attached to. An
     * armed source's epoch becomes invalid. Where they no longer show all of that memory, or something else, captures
     * are refused before they read anything; then attach anew. Not during a capture.
     */
    public synchronized void slotsChanged(List<MemorySlot> now) {
        checkOpen();
        slots().replace(now);
    }

    /**
     * A new vCPU, in the state a processor has after reset and with all the features that KVM offers here. Another
     * choice of features is made with {@code KVM_SET_CPUID2} before it first runs.
     */
    public synchronized Vcpu createVcpu() throws IOException {
        checkOwned();
        int index = vcpus.size();
        int limit = descriptor.capability(Capability.KVM_CAP_MAX_VCPUS);
        if (index >= limit) {
            throw new SnapshotException(descriptor.name() + " has " + index + " vCPUs, which is all that this KVM"
                    + " allows");
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

    /** In the order in which they were made. */
    public synchronized List<Vcpu> vcpus() {
        return List.copyOf(vcpus);
    }

    /** Gives the guest KVM's own interrupt controllers; before the first vCPU. */
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

    /** How it tells what its guest wrote. */
    public DirtyTracking tracking() {
        return tracking;
    }

    /**
     * What tells which pages the guest wrote, through any slot. There is one at a time: it has to be closed before
     * the next is asked for. Closing the VM closes it.
     */
    public synchronized DirtySource openDirtySource() throws IOException {
        checkOpen();
        if (source instanceof SlotSource present && !present.isClosed()) {
            throw new IllegalStateException("a dirty source of this VM is open; close it first, they would take each"
                    + " other's pages");
        }
        source = tracking == DirtyTracking.RING
                ? new DirtyRingSource(slots(), rings)
                : new DirtyLogSource(descriptor, slots(), tracking == DirtyTracking.MANUAL_CLEAR);
        return source;
    }

    /** Empties the dirty rings after a vCPU left with {@link VcpuExit.Plain#DIRTY_RING_FULL}; any thread. */
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

    /** What this VM's KVM says to a capability. */
    int capability(Capability capability) throws IOException {
        return descriptor.capability(capability);
    }

    /** Makes one of the VM's ioctls that take a struct. */
    int call(Request request, MemorySegment struct) throws IOException {
        return descriptor.call(request, struct);
    }

    /** The registers that are part of its vCPUs' state. */
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
        return new SnapshotException("this kernel's KVM lacks " + capability + ", so dirty tracking by " + tracking
                + " cannot be had; leave the choice to microsnap, or use " + DirtyTracking.LOG);
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
            throw new IllegalStateException(descriptor.name() + " belongs to the VMM that made it, and is not changed");
        }
    }

    /** Memory whose slots could not be taken away stays mapped for ever, lest the guest writes what comes after it. */
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
     * Closes the dirty source, interrupts and closes the vCPUs, and lets go of the VM and of its hold on the memory,
     * which is the caller's to close. Of an attached VM nothing ends but the attachment. A second call does nothing.
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
