package io.microsnap.hvf;

import io.microsnap.core.GuestLayout;
import io.microsnap.core.GuestMemory;
import io.microsnap.core.MachineStateSection;
import io.microsnap.core.Region;
import io.microsnap.core.SnapshotException;
import io.microsnap.core.internal.work.Closing;
import io.microsnap.dirty.DirtySource;
import io.microsnap.dirty.internal.ProtectionSource;
import io.microsnap.hvf.MachineSpec.InterruptController;
import io.microsnap.hvf.internal.binding.HvReturn;
import io.microsnap.hvf.internal.binding.HypervisorException;
import io.microsnap.hvf.internal.binding.HypervisorFramework;
import io.microsnap.hvf.internal.binding.Numbers;
import java.io.IOException;
import java.lang.foreign.MemorySegment;
import java.util.ArrayList;
import java.util.List;
import java.util.Objects;

/**
 * A VM of Hypervisor.framework: its memory, its vCPUs, and its dirty source. The memory exists before the first vCPU
 * and never changes. Safe for use by any number of threads.
 */
public final class VirtualMachine implements AutoCloseable {
    private static final long ALL = Numbers.HV_MEMORY_READ | Numbers.HV_MEMORY_WRITE | Numbers.HV_MEMORY_EXEC;
    /** How many bits of guest addresses every Mac offers by default. */
    private static final int USUAL_ADDRESS_BITS = 36;
    /** The block that one write unprotects, until a capture finds that little of it changes. */
    private static final long BLOCK_BYTES = 2 << 20;

    private final Hvf hvf;
    private final MachineSpec spec;
    private final GuestMemory memory;
    private final List<Vcpu> vcpus = new ArrayList<>();
    private volatile ProtectionSource source;
    /**
     * Keeps the memory mapped until the VM is destroyed: otherwise its guest could write to later mappings at the same
     * addresses.
     */
    private GuestMemory.Hold hold = GuestMemory.Hold.NOTHING;
    private boolean closed;

    private VirtualMachine(Hvf hvf, MachineSpec spec, GuestMemory memory) {
        this.hvf = hvf;
        this.spec = spec;
        this.memory = memory;
    }

    /** Makes the VM, its interrupt controller and its mappings; leaves nothing behind on failure. */
    static VirtualMachine create(Hvf hvf, MachineSpec spec, GuestMemory memory) throws IOException {
        requireGranules(spec.granuleBytes(), memory.layout());
        VirtualMachine vm = new VirtualMachine(hvf, spec, memory);
        vm.createVm();
        try {
            if (spec.interruptController().isPresent()) {
                vm.createInterruptController(spec.interruptController().get());
            }
            vm.mapMemory();
            return vm;
        } catch (Throwable failure) {
            Closing.closeAfter(failure, vm);
            throw failure;
        }
    }

    private static void requireGranules(int granuleBytes, GuestLayout layout) {
        if (layout.pageBytes() < granuleBytes) {
            throw new IllegalArgumentException("a guest of pages of " + layout.pageBytes() + " bytes cannot be tracked"
                    + " in granules of " + granuleBytes + " bytes; ask for the granule of 4 KiB (macOS 26 and later),"
                    + " or lay the guest out in pages of " + granuleBytes + " bytes");
        }
        for (Region region : layout.regions()) {
            if (region.guestAddress() % granuleBytes != 0 || region.lengthBytes() % granuleBytes != 0) {
                throw new IllegalArgumentException(region + " does not start and end on granules of " + granuleBytes
                        + " bytes");
            }
        }
    }

    private void createVm() throws IOException {
        HypervisorFramework framework = hvf.framework();
        int addressBits = Long.SIZE - Long.numberOfLeadingZeros(memory.layout().regions().getLast().end() - 1);
        if (addressBits <= USUAL_ADDRESS_BITS && spec.granuleBytes() == MachineSpec.GRANULE_16_KIB) {
            Calls.check(framework.hv_vm_create(MemorySegment.NULL), "hv_vm_create", "");
            return;
        }
        MemorySegment config = object(framework.hv_vm_config_create(), "hv_vm_config_create");
        try {
            if (addressBits > USUAL_ADDRESS_BITS) {
                Calls.check(framework.hv_vm_config_set_ipa_size(config, addressBits), "hv_vm_config_set_ipa_size",
                        "to " + addressBits + " bits");
            }
            if (spec.granuleBytes() == MachineSpec.GRANULE_4_KIB) {
                Calls.check(framework.hv_vm_config_set_ipa_granule(config, Numbers.HV_IPA_GRANULE_4KB),
                        "hv_vm_config_set_ipa_granule", "to 4 KiB");
            }
            Calls.check(framework.hv_vm_create(config), "hv_vm_create", "");
        } finally {
            framework.os_release(config);
        }
    }

    private void createInterruptController(InterruptController placement) throws IOException {
        HypervisorFramework framework = hvf.framework();
        MemorySegment config = object(framework.hv_gic_config_create(), "hv_gic_config_create");
        try {
            Calls.check(framework.hv_gic_config_set_distributor_base(config, placement.distributorAddress()),
                    "hv_gic_config_set_distributor_base", "0x" + Long.toHexString(placement.distributorAddress()));
            Calls.check(framework.hv_gic_config_set_redistributor_base(config, placement.redistributorAddress()),
                    "hv_gic_config_set_redistributor_base", "0x" + Long.toHexString(placement.redistributorAddress()));
            Calls.check(framework.hv_gic_create(config), "hv_gic_create", "");
        } finally {
            framework.os_release(config);
        }
    }

    private static MemorySegment object(MemorySegment object, String call) throws HypervisorException {
        if (object.address() == 0) {
            throw HypervisorException.of(HvReturn.HV_UNSUPPORTED.number(), call, "");
        }
        return object;
    }

    private void mapMemory() throws IOException {
        hold = memory.hold();
        List<Region> regions = memory.layout().regions();
        for (int number = 0; number < regions.size(); number++) {
            Region region = regions.get(number);
            Calls.check(hvf.framework().hv_vm_map(memory.mapping(number), region.guestAddress(), ALL), "hv_vm_map",
                    "of " + region);
        }
    }

    /**
     * Makes the next vCPU and its thread. It is off and paused: set its registers with {@link Vcpu#call}; {@link
     * Vcpu#start} and {@link Vcpu#resume} let it run.
     */
    public synchronized Vcpu createVcpu(ExitHandler handler) throws IOException {
        requireOpen();
        if (vcpus.size() == spec.vcpus()) {
            throw new IllegalStateException("the VM has all of its " + spec.vcpus() + " vCPUs already");
        }
        Vcpu vcpu = Vcpu.create(this, vcpus.size(), Objects.requireNonNull(handler));
        vcpus.add(vcpu);
        return vcpu;
    }

    /** Returns the vCPUs made so far, in order. */
    public synchronized List<Vcpu> vcpus() {
        return List.copyOf(vcpus);
    }

    /** Returns its parts. */
    public MachineSpec spec() {
        return spec;
    }

    /** Returns the guest's memory. */
    public GuestMemory memory() {
        return memory;
    }

    Hvf hvf() {
        return hvf;
    }

    /** Saves the state of this VM, whose vCPUs are all paused or off, beside its memory. */
    public List<MachineStateSection> saveState() throws IOException {
        return MachineState.save(this).sections();
    }

    /**
     * Loads what {@link #saveState} returned; sections whose names do not begin with {@code hvf.} are ignored. The VM
     * is made of the same parts as the saved one ({@link MachineSpec#of}), and has not run. Changes nothing if the
     * state does not fit; after any other failure the VM is unusable and should be closed.
     *
     * @throws io.microsnap.core.DamagedException if a section has not the form in which it was saved
     * @throws io.microsnap.core.IncompatibleStateException with every difference, if the state does not fit, or if a
     *     register does not keep its value
     */
    public void loadState(List<MachineStateSection> state) throws IOException {
        MachineState.of(state).load(this);
    }

    /**
     * Opens the dirty source that reports the guest's writes, for a tracker, which then owns it. Call this once for a
     * VM. While the source is armed, each exit must be passed to {@link #onException}; {@link Vcpu} does so by itself.
     */
    public synchronized DirtySource openDirtySource() {
        requireOpen();
        if (source != null) {
            throw new IllegalStateException("the VM has its dirty source already");
        }
        source = new ProtectionSource("write protection of Hypervisor.framework",
                new GuestProtection(hvf.framework(), memory.layout()),
                Math.max(BLOCK_BYTES, memory.layout().pageBytes()));
        return source;
    }

    /**
     * Handles an exit that dirty tracking caused, for a VM manager with its own run loop. Returns whether it was one;
     * if so, run the vCPU again with its program counter unchanged. Otherwise the VM manager must handle the exit: a
     * device access, a write outside of memory, a hypercall. Any thread may call this.
     */
    public boolean onException(VcpuExit exit) throws IOException {
        ProtectionSource watching = source;
        if (watching == null || !exit.mayBeWrite()) {
            return false;
        }
        long imageOffset = memory.layout().imageOffsetOf(exit.physicalAddress());
        if (imageOffset < 0) {
            return false;
        }
        watching.faulted(imageOffset);
        return true;
    }

    private void requireOpen() {
        if (closed) {
            throw new IllegalStateException("the VM is closed");
        }
    }

    /** Ends the vCPUs, each with its thread. Tries all of them and then throws the first failure. */
    void endVcpus() throws IOException {
        IOException first = null;
        for (Vcpu vcpu : vcpus()) {
            try {
                vcpu.close();
            } catch (IOException failure) {
                if (first == null) {
                    first = failure;
                } else {
                    first.addSuppressed(failure);
                }
            }
        }
        if (first != null) {
            throw new SnapshotException("the vCPUs did not end: " + first.getMessage(), first);
        }
    }

    /**
     * Ends the vCPUs and the VM, and releases the hold on the memory, which may have been closed before. Close a dirty
     * source first. A second call does nothing, or retries what failed.
     */
    @Override
    public void close() throws IOException {
        endVcpus();
        synchronized (this) {
            if (!closed) {
                Calls.check(hvf.framework().hv_vm_destroy(), "hv_vm_destroy", "");
                closed = true;
            }
            hold.close();
        }
    }
}
