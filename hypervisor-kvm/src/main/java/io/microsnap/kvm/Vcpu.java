package io.microsnap.kvm;

import io.microsnap.core.internal.posix.Errno;
import io.microsnap.core.internal.posix.Posix;
import io.microsnap.core.internal.posix.SystemCallException;
import io.microsnap.core.internal.work.Closing;
import io.microsnap.kvm.internal.abi.Numbers;
import io.microsnap.kvm.internal.abi.Request;
import io.microsnap.kvm.internal.abi.Structs;
import java.io.IOException;
import java.lang.foreign.Arena;
import java.lang.foreign.MemorySegment;
import java.lang.invoke.VarHandle;

/**
 * A vCPU. {@link #run} belongs on one platform thread, always the same: KVM binds a vCPU to the thread that runs it,
 * and a virtual thread would pin its carrier. {@link #interrupt} and {@link #close} may be called on any thread at
 * any time; all other methods may be called on any thread while the vCPU does not run.
 */
public final class Vcpu implements AutoCloseable {
    private static final VarHandle IMMEDIATE_EXIT = Structs.member(Structs.KVM_RUN, "immediate_exit");
    private static final VarHandle EXIT_REASON = Structs.member(Structs.KVM_RUN, "exit_reason");
    private static final VarHandle IO_DIRECTION = Structs.member(Structs.KVM_RUN, "exit", "io", "direction");
    private static final VarHandle IO_SIZE = Structs.member(Structs.KVM_RUN, "exit", "io", "size");
    private static final VarHandle IO_PORT = Structs.member(Structs.KVM_RUN, "exit", "io", "port");
    private static final VarHandle IO_COUNT = Structs.member(Structs.KVM_RUN, "exit", "io", "count");
    private static final VarHandle IO_DATA = Structs.member(Structs.KVM_RUN, "exit", "io", "data_offset");
    private static final VarHandle MMIO_ADDRESS = Structs.member(Structs.KVM_RUN, "exit", "mmio", "phys_addr");
    private static final VarHandle MMIO_LENGTH = Structs.member(Structs.KVM_RUN, "exit", "mmio", "len");
    private static final VarHandle MMIO_WRITE = Structs.member(Structs.KVM_RUN, "exit", "mmio", "is_write");
    private static final VarHandle SUBERROR = Structs.member(Structs.KVM_RUN, "exit", "internal", "suberror");
    private static final VarHandle ENTRY_FAILURE =
            Structs.member(Structs.KVM_RUN, "exit", "fail_entry", "hardware_entry_failure_reason");

    private final KvmDescriptor descriptor;
    private final int index;
    private final InterruptSignal signal;
    private final Arena arena;
    private final MemorySegment runPage;

    /** The kernel id of the thread inside {@link #run}; zero if there is none. */
    private volatile int runner;
    private boolean closed;

    private Vcpu(KvmDescriptor descriptor, int index, InterruptSignal signal, Arena arena, MemorySegment runPage) {
        this.descriptor = descriptor;
        this.index = index;
        this.signal = signal;
        this.arena = arena;
        this.runPage = runPage;
    }

    /** Makes a vCPU that owns the descriptor; closes it on failure. */
    static Vcpu created(KvmDescriptor descriptor, int index, int runPageBytes) throws IOException {
        Arena arena = Arena.ofShared();
        try {
            MemorySegment runPage = SharedWithKernel.map(descriptor, 0, runPageBytes, arena);
            return new Vcpu(descriptor, index, InterruptSignal.claim(descriptor.posix()), arena, runPage);
        } catch (Throwable failure) {
            Closing.closeAfter(failure, arena);
            Closing.closeAfter(failure, descriptor);
            throw failure;
        }
    }

    /** Makes a vCPU that other code in this process runs: its state can be read, but it cannot be run here. */
    static Vcpu attached(KvmDescriptor descriptor, int index) {
        return new Vcpu(descriptor, index, null, null, MemorySegment.NULL);
    }

    /** Returns its number in its VM, from zero. */
    public int index() {
        return index;
    }

    /**
     * Enters the guest until something needs attention. After {@link #interrupt} it returns {@link
     * VcpuExit.Plain#INTERRUPTED}, once a pending port access is completed, until {@link #allowToRun} is called.
     */
    public VcpuExit run() throws IOException {
        if (runPage.byteSize() == 0) {
            throw new IllegalStateException(descriptor.name() + " is run by the VMM that owns it");
        }
        enter();
        try {
            Posix posix = descriptor.posix();
            int result = descriptor.raw(Request.KVM_RUN, 0);
            if (descriptor.failed(result, Errno.EINTR) || descriptor.failed(result, Errno.EAGAIN)) {
                return VcpuExit.Plain.INTERRUPTED;
            }
            if (result < 0) {
                throw SystemCallException.of(posix, result, "ioctl KVM_RUN", descriptor.name(),
                        descriptor.failed(result, Errno.EFAULT)
                                ? "(the guest reached memory that is no longer mapped)" : "");
            }
            return exit();
        } finally {
            leave();
        }
    }

    private synchronized void enter() {
        checkIdle();
        runner = descriptor.posix().gettid();
    }

    private synchronized void leave() {
        runner = 0;
        notifyAll();
    }

    private VcpuExit exit() {
        int reason = (int) EXIT_REASON.get(runPage);
        return switch (reason) {
            case Numbers.KVM_EXIT_IO -> {
                int size = (byte) IO_SIZE.get(runPage);
                long bytes = (long) size * (int) IO_COUNT.get(runPage);
                yield new VcpuExit.PortAccess((byte) IO_DIRECTION.get(runPage) == Numbers.KVM_EXIT_IO_OUT,
                        Short.toUnsignedInt((short) IO_PORT.get(runPage)), size,
                        runPage.asSlice((long) IO_DATA.get(runPage), bytes));
            }
            case Numbers.KVM_EXIT_MMIO -> new VcpuExit.DeviceAccess((long) MMIO_ADDRESS.get(runPage),
                    (byte) MMIO_WRITE.get(runPage) != 0, (int) MMIO_LENGTH.get(runPage));
            case Numbers.KVM_EXIT_HLT -> VcpuExit.Plain.HALTED;
            case Numbers.KVM_EXIT_SHUTDOWN -> VcpuExit.Plain.SHUT_DOWN;
            case Numbers.KVM_EXIT_DIRTY_RING_FULL -> VcpuExit.Plain.DIRTY_RING_FULL;
            case Numbers.KVM_EXIT_INTERNAL_ERROR ->
                    new VcpuExit.Failed("KVM_EXIT_INTERNAL_ERROR, suberror " + SUBERROR.get(runPage)
                            + ((int) SUBERROR.get(runPage) == 1 ? ": KVM cannot emulate an instruction" : ""));
            case Numbers.KVM_EXIT_FAIL_ENTRY -> new VcpuExit.Failed("KVM_EXIT_FAIL_ENTRY, hardware reason 0x"
                    + Long.toHexString((long) ENTRY_FAILURE.get(runPage)));
            default -> new VcpuExit.Failed("KVM exit reason " + reason);
        };
    }

    /**
     * Makes {@link #run} return, now and at every call, until {@link #allowToRun}. Does not wait for that. Does nothing
     * on a closed vCPU.
     */
    public synchronized void interrupt() {
        if (!closed && runPage.byteSize() > 0) {
            // In this order: a thread that enters after the write sees the byte, and a thread inside gets the signal.
            IMMEDIATE_EXIT.setVolatile(runPage, (byte) 1);
            if (runner != 0) {
                signal.send(runner);
            }
        }
    }

    /** Reverts {@link #interrupt}. */
    public synchronized void allowToRun() {
        checkOpen();
        if (runPage.byteSize() > 0) {
            IMMEDIATE_EXIT.setVolatile(runPage, (byte) 0);
        }
    }

    /**
     * Makes one of the vCPU's own ioctls that take a struct, such as {@code KVM_SET_SREGS}. Use it for tasks other than
     * saving and loading state, such as setting the registers of a new vCPU. The vCPU must not be running.
     *
     * @param request the ioctl's name in the kernel's headers, among those that this library knows
     * @param struct laid out as the kernel's headers say, in native memory
     */
    public int ioctl(String request, MemorySegment struct) throws IOException {
        return call(Request.valueOf(request), struct);
    }

    /** Makes one of the vCPU's own ioctls that take a struct. */
    int call(Request request, MemorySegment struct) throws IOException {
        checkIdle();
        return descriptor.call(request, struct);
    }

    /** Makes one of the vCPU's own ioctls that take a number. */
    int call(Request request, long argument) throws IOException {
        checkIdle();
        return descriptor.call(request, argument);
    }

    KvmDescriptor descriptor() {
        return descriptor;
    }

    private synchronized void checkIdle() {
        checkOpen();
        if (runner != 0) {
            throw new IllegalStateException(descriptor.name() + " is running; interrupt it first");
        }
    }

    private void checkOpen() {
        if (closed) {
            throw new IllegalStateException(descriptor.name() + " is closed");
        }
    }

    /** Interrupts the vCPU if it runs, waits until it does not, and frees it. A second call does nothing. */
    @Override
    public void close() throws IOException {
        synchronized (this) {
            if (closed) {
                return;
            }
            boolean wasInterrupted = false;
            interrupt();
            while (runner != 0) {
                try {
                    wait();
                } catch (InterruptedException later) {
                    wasInterrupted = true;
                }
            }
            closed = true;
            if (wasInterrupted) {
                Thread.currentThread().interrupt();
            }
        }
        if (arena != null) {
            arena.close();
        }
        descriptor.close();
    }
}
