package io.microsnap.hvf;

import io.microsnap.core.SnapshotException;
import io.microsnap.core.internal.work.Uninterrupted;
import io.microsnap.hvf.VcpuExit.Reason;
import io.microsnap.hvf.internal.binding.HvReturn;
import io.microsnap.hvf.internal.binding.HypervisorFramework;
import io.microsnap.hvf.internal.binding.Structs;
import java.io.IOException;
import java.lang.foreign.Arena;
import java.lang.foreign.MemorySegment;
import java.lang.foreign.ValueLayout;
import java.util.Collections;
import java.util.EnumSet;
import java.util.Set;
import java.util.concurrent.CompletableFuture;

/**
 * A vCPU and the platform thread that makes, runs and destroys it: the framework binds each to one thread. It runs
 * while it is on and not paused. {@link #start} and the exit handler turn it on and off; captures pause and resume it.
 *
 * <p>Registers are read and written on its own thread: in its exit handler, or through {@link #call}.
 */
public final class Vcpu {
    private enum State { PARKED, RUNNING, BUSY, FAILED, ENDED }

    /** Work with a vCPU on its thread. */
    @FunctionalInterface
    public interface Task<T> {
        T on(Vcpu vcpu) throws IOException;
    }

    private final VirtualMachine vm;
    private final HypervisorFramework framework;
    private final int index;
    private final ExitHandler handler;
    private final Thread thread;
    /** Native memory that any thread may pass to the framework. */
    private final MemorySegment id = Arena.ofAuto().allocate(ValueLayout.JAVA_LONG);

    // Written with the lock held. The vCPU's thread reads it without the lock between two entries: a vCPU that leaves
    // the guest often would otherwise block other threads.
    private volatile Set<InterruptLine> high = Set.of();
    private volatile boolean on;
    private volatile boolean paused = true;
    private volatile boolean closing;
    private State state = State.BUSY;
    private Runnable task;
    private IOException failure;
    /** The reason why it could not be destroyed. */
    private IOException leftBehind;
    /** Set by the thread once it has made its vCPU. */
    private VcpuRegisters registers;
    private MemorySegment exit;

    private Vcpu(VirtualMachine vm, int index, ExitHandler handler) {
        this.vm = vm;
        this.framework = vm.hvf().framework();
        this.index = index;
        this.handler = handler;
        thread = Thread.ofPlatform().name("vcpu-" + index).daemon().unstarted(this::live);
    }

    /** Makes the vCPU on a new thread, off and paused. */
    static Vcpu create(VirtualMachine vm, int index, ExitHandler handler) throws IOException {
        Vcpu vcpu = new Vcpu(vm, index, handler);
        vcpu.thread.start();
        IOException refused;
        synchronized (vcpu) {
            vcpu.awaitWhile(State.BUSY);
            refused = vcpu.failure;
        }
        if (refused != null) {
            Uninterrupted.await(vcpu.thread::join);
            throw refused;
        }
        return vcpu;
    }

    /** Returns its number in its VM, from zero. */
    public int index() {
        return index;
    }

    // -- Whether it runs.

    /** Turns it on: it runs from now on, unless it is paused. */
    public synchronized void start() throws IOException {
        requireOpen();
        throwFailure();
        on = true;
        notifyAll();
    }

    /** Returns whether it is on: running, or paused while on. */
    public boolean isOn() {
        return on;
    }

    /** Lets it run, if it is on. */
    public synchronized void resume() throws IOException {
        requireOpen();
        paused = false;
        notifyAll();
    }

    /**
     * Makes it leave the guest and keeps it out until {@link #resume}. When this returns, its last exit has been
     * handled and its registers may be saved.
     */
    public void pause() throws IOException {
        requestPause();
        awaitPause();
    }

    synchronized void requestPause() throws IOException {
        requireOpen();
        requireOtherThread("pause");
        paused = true;
        leaveGuest();
    }

    synchronized void awaitPause() throws IOException {
        awaitWhile(State.RUNNING);
        throwFailure();
    }

    /** Returns once it is off or paused. */
    public synchronized void awaitParked() throws IOException {
        requireOtherThread("await");
        while (state == State.RUNNING || (state == State.PARKED && mayRun())) {
            awaitChange();
        }
        throwFailure();
    }

    /**
     * Raises or lowers an interrupt line, until the next call for it. The framework clears lines whenever the guest
     * exits; the vCPU's thread asserts them again before each entry. Any thread may call this.
     */
    public synchronized void setLine(InterruptLine line, boolean asserted) throws IOException {
        requireOpen();
        Set<InterruptLine> changed = EnumSet.noneOf(InterruptLine.class);
        changed.addAll(high);
        if (asserted) {
            changed.add(line);
        } else {
            changed.remove(line);
        }
        high = Collections.unmodifiableSet(changed);
        leaveGuest();
    }

    /** Tells whether an interrupt line is high. */
    public boolean line(InterruptLine line) {
        return high.contains(line);
    }

    /** Makes the thread leave the guest. The request is sticky: a thread that is just about to enter leaves at once. */
    private void leaveGuest() throws IOException {
        if (state == State.RUNNING) {
            Calls.check(framework.hv_vcpus_exit(id, 1), "hv_vcpus_exit", "of vCPU " + index);
        }
    }

    // -- What is done on its thread.

    /** Runs a task with the vCPU on its thread, while it does not run, and returns the result. */
    public <T> T call(Task<T> what) throws IOException {
        if (Thread.currentThread() == thread) {
            return what.on(this);
        }
        CompletableFuture<T> result = new CompletableFuture<>();
        synchronized (this) {
            while (task != null || state == State.BUSY) {
                awaitChange();
            }
            requireOpen();
            if (state == State.RUNNING || mayRun()) {
                throw new IllegalStateException("vCPU " + index + " is running; pause it first");
            }
            task = () -> {
                try {
                    result.complete(what.on(this));
                } catch (IOException | RuntimeException | Error thrown) {
                    result.completeExceptionally(thrown);
                }
            };
            notifyAll();
            while (!result.isDone() && state != State.ENDED) {
                awaitChange();
            }
            if (!result.isDone()) {
                throw new IllegalStateException("vCPU " + index + " is closed");
            }
        }
        return resultOf(result);
    }

    private static <T> T resultOf(CompletableFuture<T> done) throws IOException {
        if (!done.isCompletedExceptionally()) {
            return done.join();
        }
        Throwable thrown = done.exceptionNow();
        if (thrown instanceof IOException failed) {
            throw failed;
        }
        if (thrown instanceof RuntimeException mistake) {
            throw mistake;
        }
        throw (Error) thrown;
    }

    /** Reads a register. On the vCPU's thread. */
    public long get(Register register) throws IOException {
        return registers().get(register);
    }

    /** Writes a register. On the vCPU's thread. */
    public void set(Register register, long value) throws IOException {
        registers().set(register, value);
    }

    /** Reads a system register. On the vCPU's thread. */
    public long get(SystemRegister register) throws IOException {
        return registers().system(register);
    }

    /** Writes a system register. On the vCPU's thread. */
    public void set(SystemRegister register, long value) throws IOException {
        registers().setSystem(register, value);
    }

    /** Returns all of its state. On the vCPU's thread. */
    VcpuRegisters registers() {
        if (Thread.currentThread() != thread) {
            throw new IllegalStateException("the registers of vCPU " + index + " belong to its own thread; use call()");
        }
        return registers;
    }

    // -- The thread.

    private void live() {
        try (Arena arena = Arena.ofConfined()) {
            boolean made = false;
            try {
                make(arena);
                made = true;
                changeTo(State.PARKED, null);
                serve();
                leftBehind = destroy();
                changeTo(State.ENDED, null);
            } catch (IOException | RuntimeException | Error thrown) {
                if (made) {
                    leftBehind = destroy();
                }
                changeTo(State.ENDED, asIo(thrown));
            }
        }
    }

    private void make(Arena arena) throws IOException {
        MemorySegment pointer = arena.allocate(ValueLayout.ADDRESS);
        int result = framework.hv_vcpu_create(id, pointer, MemorySegment.NULL);
        Calls.check(result, "hv_vcpu_create", "of vCPU " + index);
        try {
            exit = Structs.exitAt(pointer);
            registers = new VcpuRegisters(framework, id.get(ValueLayout.JAVA_LONG, 0), "vCPU " + index, arena);
            registers.setSystem(SystemRegister.MPIDR_EL1, affinity());
        } catch (Throwable thrown) {
            IOException second = destroy();
            if (second != null) {
                thrown.addSuppressed(second);
            }
            throw thrown;
        }
    }

    /**
     * Returns its affinity: sixteen vCPUs to a cluster, because an interrupt between vCPUs can name at most that many.
     */
    private long affinity() {
        return 1L << 31 | (index >> 4) << 8 | (index & 0xf);
    }

    private IOException destroy() {
        // No thread may ask the framework to stop a destroyed vCPU.
        synchronized (this) {
            state = State.BUSY;
            int result = framework.hv_vcpu_destroy(id.get(ValueLayout.JAVA_LONG, 0));
            try {
                Calls.check(result, "hv_vcpu_destroy", "of vCPU " + index);
                return null;
            } catch (IOException refused) {
                return refused;
            }
        }
    }

    private void serve() {
        while (true) {
            Runnable next;
            synchronized (this) {
                while (!closing && task == null && !mayRun()) {
                    awaitChange();
                }
                if (closing) {
                    return;
                }
                next = task;
                task = null;
                if (next == null) {
                    state = State.RUNNING;
                }
            }
            if (next == null) {
                runUntilParked();
            } else {
                next.run();
                synchronized (this) {
                    notifyAll();
                }
            }
        }
    }

    private boolean mayRun() {
        return on && !paused && state != State.FAILED;
    }

    private void runUntilParked() {
        try {
            boolean goesOn = true;
            while (goesOn && staysInGuest()) {
                goesOn = runOnce();
            }
            synchronized (this) {
                on = on && goesOn;
                state = State.PARKED;
                notifyAll();
            }
        } catch (IOException | RuntimeException | Error thrown) {
            changeTo(State.FAILED, asIo(thrown));
        }
    }

    private boolean staysInGuest() {
        return on && !paused && !closing;
    }

    /**
     * Enters the guest once and handles the exit. Requests that arrive meanwhile are handled after that, so that every
     * exit is handled exactly once. A request to leave that comes too late cancels the next run, which is harmless.
     */
    private boolean runOnce() throws IOException {
        for (InterruptLine line : high) {
            registers.setLine(line, true);
        }
        int result = framework.hv_vcpu_run(registers.id());
        if (result != HvReturn.HV_SUCCESS.number()) {
            Calls.check(result, "hv_vcpu_run", "of vCPU " + index);
        }
        VcpuExit why = VcpuExit.of(exit);
        return why.reason() == Reason.CANCELED || vm.onException(why) || handler.handle(this, why);
    }

    // -- Waiting.

    private synchronized void changeTo(State next, IOException reason) {
        state = next;
        if (reason != null) {
            failure = reason;
        }
        notifyAll();
    }

    private void awaitWhile(State passing) {
        while (state == passing) {
            awaitChange();
        }
    }

    /** Waits uninterruptibly, because the change comes soon; sets the interrupt status again afterwards. */
    private synchronized void awaitChange() {
        boolean interrupted = false;
        while (true) {
            try {
                wait();
                break;
            } catch (InterruptedException later) {
                interrupted = true;
            }
        }
        if (interrupted) {
            Thread.currentThread().interrupt();
        }
    }

    private void throwFailure() throws IOException {
        if (failure != null) {
            throw new SnapshotException("vCPU " + index + " failed: " + failure.getMessage(), failure);
        }
    }

    private static IOException asIo(Throwable thrown) {
        return thrown instanceof IOException io ? io : new SnapshotException(String.valueOf(thrown), thrown);
    }

    private void requireOpen() {
        if (closing || state == State.ENDED) {
            throw new IllegalStateException("vCPU " + index + " is closed");
        }
    }

    private void requireOtherThread(String what) {
        if (Thread.currentThread() == thread) {
            throw new IllegalStateException("vCPU " + index + " cannot " + what
                    + " itself: its handler returns false instead");
        }
    }

    /** Makes it leave the guest and ends it with its thread. A second call tries again. */
    void close() throws IOException {
        synchronized (this) {
            requireOtherThread("close");
            closing = true;
            notifyAll();
            leaveGuest();
            while (state != State.ENDED) {
                awaitChange();
            }
        }
        Uninterrupted.await(thread::join);
        if (leftBehind != null) {
            throw leftBehind;
        }
    }
}
