package io.microsnap.machine;

import io.microsnap.core.GuestLayout;
import io.microsnap.core.GuestMemory;
import io.microsnap.core.HugePages;
import io.microsnap.core.MachineStateSection;
import io.microsnap.core.Region;
import io.microsnap.core.internal.file.GuestRam;
import io.microsnap.core.internal.posix.Posix;
import io.microsnap.core.internal.work.Closing;
import io.microsnap.dirty.DirtySource;
import io.microsnap.dirty.RestoredMachine;
import io.microsnap.kvm.Kvm;
import io.microsnap.kvm.KvmGuest;
import io.microsnap.kvm.MachineSpec;
import io.microsnap.kvm.Vcpu;
import io.microsnap.kvm.VcpuThreads;
import io.microsnap.kvm.VirtualMachine;
import io.microsnap.kvm.internal.abi.Structs;
import java.io.IOException;
import java.lang.foreign.Arena;
import java.lang.foreign.MemorySegment;
import java.lang.foreign.ValueLayout;
import java.lang.invoke.VarHandle;
import java.time.Duration;
import java.util.ArrayList;
import java.util.List;
import java.util.Optional;

/**
 * A small machine: memory and processors on KVM, and a {@link GuestProgram} on each processor.
 *
 * <pre>{@code
 * try (Kvm kvm = Kvm.open();
 *         SmallMachine machine = SmallMachine.create(kvm, SmallMachineSpec.ofRam(256 << 20))) {
 *     machine.load(0, GuestProgram.count());
 *     machine.resume();
 *     …
 *     machine.pause();
 *     long counter = machine.counter(0);
 *     List<MachineStateSection> state = machine.saveState();
 * }
 * }</pre>
 *
 * <p>Any thread may call its methods, one thread at a time.
 */
public final class SmallMachine implements AutoCloseable {
    /** The start of memory, which holds programs and their counters: no program touches the rest of it. */
    public static final long PROGRAM_AREA_BYTES = 1 << 20;

    static final int MOST_VCPUS = 64;

    // A page of code, then one for the counter, for each vCPU. Real mode keeps its interrupt table in page 0.
    private static final long FIRST_PROGRAM = 0x1000;
    private static final long COUNTER = 0x1000;
    private static final long PROGRAM_BYTES = 0x2000;
    /** A PC's interrupt controllers and firmware start here. */
    private static final long END_OF_ALIASES = 0xfec0_0000L;
    private static final long ALIAS_ALIGNMENT = 2 << 20;
    private static final long FOUR_GIB = 1L << 32;

    private static final VarHandle RIP = Structs.member(Structs.KVM_REGS, "rip");
    private static final VarHandle RFLAGS = Structs.member(Structs.KVM_REGS, "rflags");
    private static final VarHandle CS_BASE = Structs.member(Structs.KVM_SREGS, "cs", "base");
    private static final VarHandle CS_SELECTOR = Structs.member(Structs.KVM_SREGS, "cs", "selector");
    private static final List<VarHandle> LIMITS = segments("limit");
    private static final List<VarHandle> GRANULARITIES = segments("g");
    private static final List<VarHandle> BASES = segments("base");
    private static final List<VarHandle> SELECTORS = segments("selector");

    private final Kvm kvm;
    private final GuestMemory memory;
    private final VirtualMachine vm;
    private final List<Reach> reach;
    private final List<VcpuThread> threads = new ArrayList<>();
    private boolean closed;

    /**
     * Memory that guest programs can touch.
     *
     * @param guest its range in the guest: below 4 GiB, through an alias if needed
     * @param imageOffset its offset in the image
     */
    public record Reach(Region guest, long imageOffset) {
    }

    private SmallMachine(Kvm kvm, GuestMemory memory, VirtualMachine vm, List<Reach> reach, boolean hasPrograms) {
        this.kvm = kvm;
        this.memory = memory;
        this.vm = vm;
        this.reach = reach;
        vm.vcpus().forEach(vcpu -> threads.add(new VcpuThread(vm, vcpu, hasPrograms)));
    }

    /** Makes a machine with memory of zeros, paused, without programs. */
    public static SmallMachine create(Kvm kvm, SmallMachineSpec spec) throws IOException {
        return create(kvm, spec, GuestRam.anonymous(Posix.host(), spec.layout(), HugePages.NONE));
    }

    /** Makes a machine with existing memory, which it takes over and closes, even if this fails. */
    public static SmallMachine create(Kvm kvm, SmallMachineSpec spec, GuestMemory memory) throws IOException {
        return make(kvm, spec, memory, Optional.empty());
    }

    /**
     * Makes a machine with the memory and the state of another one, paused where that was. It takes over the memory and
     * closes it, even if this fails.
     */
    public static SmallMachine restore(Kvm kvm, GuestMemory memory, List<MachineStateSection> state)
            throws IOException {
        try {
            MachineSpec saved = MachineSpec.of(state);
            SmallMachineSpec spec = SmallMachineSpec.ofLayout(memory.layout()).withVcpus(saved.vcpus());
            return make(kvm, saved.interruptChip() ? spec.withInterruptChip() : spec, memory, Optional.of(state));
        } catch (Throwable failure) {
            Closing.closeAfter(failure, memory);
            throw failure;
        }
    }

    /**
     * Does as {@link #restore(Kvm, GuestMemory, List)}, with the dirty tracking of the spec.
     */
    public static SmallMachine restore(
            Kvm kvm, SmallMachineSpec spec, GuestMemory memory, List<MachineStateSection> state) throws IOException {
        try {
            return make(kvm, spec, memory, Optional.of(state));
        } catch (Throwable failure) {
            Closing.closeAfter(failure, memory);
            throw failure;
        }
    }

    private static SmallMachine make(Kvm kvm, SmallMachineSpec spec, GuestMemory memory,
            Optional<List<MachineStateSection>> saved) throws IOException {
        VirtualMachine vm = null;
        try {
            if (!memory.layout().equals(spec.layout())) {
                throw new IllegalArgumentException("memory of " + memory.layout() + " for a machine of "
                        + spec.layout());
            }
            vm = kvm.createVirtualMachine(
                    spec.tracking().isPresent() ? spec.tracking().get() : kvm.bestDirtyTracking(), spec.ringEntries());
            vm.register(memory);
            List<Reach> reach = aliases(spec.layout());
            for (Reach part : reach) {
                if (memory.layout().imageOffsetOf(part.guest().guestAddress()) < 0) {
                    vm.addAlias(part.guest(), part.imageOffset());
                }
            }
            if (spec.interruptChip()) {
                vm.createInterruptChip();
                vm.createTimer();
            }
            for (int vcpu = 0; vcpu < spec.vcpus(); vcpu++) {
                vm.createVcpu();
            }
            if (saved.isPresent()) {
                vm.loadState(kvm, saved.get());
            }
            return new SmallMachine(kvm, memory, vm, reach, saved.isPresent());
        } catch (Throwable failure) {
            if (vm != null) {
                Closing.closeAfter(failure, vm);
            }
            Closing.closeAfter(failure, memory);
            throw failure;
        }
    }

    /**
     * Returns the memory that programs can touch: low memory directly, high memory through as many aliases as fit.
     */
    private static List<Reach> aliases(GuestLayout layout) {
        List<Reach> parts = new ArrayList<>();
        long free = 0;
        for (int number = 0; number < layout.regions().size(); number++) {
            Region region = layout.regions().get(number);
            long offset = layout.imageOffset(number);
            if (region.end() <= FOUR_GIB) {
                long own = region.guestAddress() == 0 ? PROGRAM_AREA_BYTES : 0;
                parts.add(new Reach(new Region(region.guestAddress() + own, region.lengthBytes() - own),
                        offset + own));
                free = (region.end() + ALIAS_ALIGNMENT - 1) / ALIAS_ALIGNMENT * ALIAS_ALIGNMENT;
            } else if (free < END_OF_ALIASES && region.guestAddress() >= FOUR_GIB) {
                long length = Math.min(region.lengthBytes(), END_OF_ALIASES - free);
                parts.add(new Reach(new Region(free, length), offset));
                free += (length + ALIAS_ALIGNMENT - 1) / ALIAS_ALIGNMENT * ALIAS_ALIGNMENT;
            }
        }
        return List.copyOf(parts);
    }

    /** Returns the memory that guest programs can touch, part by part. */
    public List<Reach> reach() {
        return reach;
    }

    /** Returns all of its memory. Closing the machine closes it. */
    public GuestMemory memory() {
        return memory;
    }

    /** Returns the VM behind it. */
    public VirtualMachine vm() {
        return vm;
    }

    /** Opens a dirty source that reports the programs' writes, for a tracker, which then owns it. */
    public DirtySource openDirtySource() throws IOException {
        return vm.openDirtySource();
    }

    /**
     * Loads a program on a paused vCPU, at its beginning. Returns the range that this wrote, one page each for the code
     * and the counter; mark it with the dirty tracker.
     */
    public Region load(int vcpu, GuestProgram program) throws IOException {
        checkOpen();
        threads.get(vcpu).reset();
        long at = FIRST_PROGRAM + vcpu * PROGRAM_BYTES;
        byte[] code = program.assemble((int) (at + COUNTER));
        MemorySegment low = memory.mapping(0);
        low.asSlice(at, PROGRAM_BYTES).fill((byte) 0);
        MemorySegment.copy(code, 0, low, ValueLayout.JAVA_BYTE, at, code.length);
        begin(vm.vcpus().get(vcpu), at);
        return new Region(at, PROGRAM_BYTES);
    }

    /** Sets a vCPU to a guest address, in real mode, with data segments that reach all of 4 GiB. */
    static void begin(Vcpu vcpu, long at) throws IOException {
        try (Arena arena = Arena.ofConfined()) {
            MemorySegment special = arena.allocate(Structs.KVM_SREGS);
            vcpu.ioctl("KVM_GET_SREGS", special);
            CS_BASE.set(special, at);
            CS_SELECTOR.set(special, (short) (at >> 4));
            for (int segment = 0; segment < LIMITS.size(); segment++) {
                // A processor that returned from protected mode has such segments, too.
                BASES.get(segment).set(special, 0L);
                SELECTORS.get(segment).set(special, (short) 0);
                LIMITS.get(segment).set(special, -1);
                GRANULARITIES.get(segment).set(special, (byte) 1);
            }
            vcpu.ioctl("KVM_SET_SREGS", special);
            MemorySegment registers = arena.allocate(Structs.KVM_REGS);
            RIP.set(registers, 0L);
            RFLAGS.set(registers, 2L);
            vcpu.ioctl("KVM_SET_REGS", registers);
            MemorySegment runnable = arena.allocate(Structs.KVM_MP_STATE);
            vcpu.ioctl("KVM_SET_MP_STATE", runnable);
        }
    }

    private static List<VarHandle> segments(String member) {
        return List.of(Structs.member(Structs.KVM_SREGS, "ds", member),
                Structs.member(Structs.KVM_SREGS, "es", member));
    }

    /** Lets every vCPU run whose program has not finished. */
    public void resume() throws IOException {
        checkOpen();
        for (VcpuThread thread : threads) {
            thread.resume();
        }
    }

    /** Stops every vCPU; when this returns, none is in the guest and nothing is pending, so state may be saved. */
    public void pause() throws IOException {
        checkOpen();
        threads.forEach(VcpuThread::requestPause);
        for (VcpuThread thread : threads) {
            thread.awaitPause();
        }
        for (VcpuThread thread : threads) {
            thread.throwFailure();
        }
    }

    /** Waits until every program has finished. */
    public void awaitFinish() throws IOException, InterruptedException {
        checkOpen();
        for (VcpuThread thread : threads) {
            thread.awaitFinish();
        }
    }

    /**
     * Returns whether a vCPU runs its program, or is about to: it is not paused, finished or failed.
     */
    public boolean isRunning(int vcpu) {
        return threads.get(vcpu).isRunning();
    }

    /**
     * Sets the least time between the starts of two rounds of the touching program on a vCPU, for a guest that writes
     * at a steady rate; zero for no limit.
     */
    public void pace(int vcpu, Duration perRound) {
        threads.get(vcpu).pace(perRound.toNanos());
    }

    /** Returns whether a program has finished. */
    public boolean hasFinished(int vcpu) {
        return threads.get(vcpu).hasFinished();
    }

    /** Returns the counter of the program on a vCPU: touches, loops, or its result. May be called while it runs. */
    public long counter(int vcpu) {
        checkOpen();
        return Integer.toUnsignedLong((int) ValueLayout.JAVA_INT.varHandle().getVolatile(
                memory.mapping(0), FIRST_PROGRAM + vcpu * PROGRAM_BYTES + COUNTER));
    }

    /**
     * Makes the touching program on a vCPU compare its memory with what it has written. The machine must be running,
     * and keeps running.
     */
    public SelfCheck selfCheck(int vcpu) throws IOException, InterruptedException {
        checkOpen();
        if (!isRunning(vcpu)) {
            throw new IllegalStateException("vCPU " + vcpu + " does not run; resume the machine first");
        }
        return threads.get(vcpu).awaitCheck();
    }

    /** Returns the state of the paused machine beside its memory. */
    public List<MachineStateSection> saveState() throws IOException {
        checkOpen();
        return vm.saveState(kvm);
    }

    /** Returns the machine as a guest for captures, with its own tracker. Close the guest before the machine. */
    public KvmGuest guest() throws IOException {
        checkOpen();
        return KvmGuest.of(kvm, vm, new Threads());
    }

    /** Returns the same for a restored machine: the tracker's first epoch is relative to the restored snapshot. */
    public KvmGuest guest(RestoredMachine origin) throws IOException {
        checkOpen();
        return KvmGuest.restored(kvm, vm, origin, new Threads());
    }

    private final class Threads implements VcpuThreads {
        @Override
        public void pause() throws IOException {
            SmallMachine.this.pause();
        }

        @Override
        public void resume() throws IOException {
            SmallMachine.this.resume();
        }

        @Override
        public void close() {
            threads.forEach(VcpuThread::close);
        }
    }

    private void checkOpen() {
        if (closed) {
            throw new IllegalStateException("the machine is closed");
        }
    }

    /** Stops the vCPUs, and frees them, the VM and the memory. A second call does nothing. */
    @Override
    public void close() throws IOException {
        if (closed) {
            return;
        }
        closed = true;
        threads.forEach(VcpuThread::close);
        try (memory) {
            vm.close();
        }
    }
}
