package io.microsnap.machine;

import io.microsnap.core.SnapshotException;
import io.microsnap.core.internal.work.Uninterrupted;
import io.microsnap.kvm.Vcpu;
import io.microsnap.kvm.VcpuExit;
import io.microsnap.kvm.VirtualMachine;
import java.io.IOException;
import java.lang.foreign.MemorySegment;
import java.lang.foreign.ValueLayout;
import java.util.concurrent.TimeUnit;

/** The platform thread on which one vCPU runs, and the ports of the guest on it. */
final class VcpuThread {
    private enum State { EMPTY, PAUSED, RUNNING, FINISHED, FAILED, CLOSED }

    private final VirtualMachine vm;
    private final Vcpu vcpu;
    private final Thread thread;

    private State state;
    private boolean wanted;
    private boolean checkWanted;
    private boolean closing;
    private SelfCheck check;
    private int counted;
    private IOException failure;
    /** The least time of a round of its program; zero for no limit. */
    private long nanosPerRound;
    private long nextRound;

    /** Makes the thread. Without a program the vCPU does not run, because this machine has no firmware. */
    VcpuThread(VirtualMachine vm, Vcpu vcpu, boolean hasProgram) {
        this.vm = vm;
        state = hasProgram ? State.PAUSED : State.EMPTY;
        this.vcpu = vcpu;
        thread = Thread.ofPlatform().name("vcpu-" + vcpu.index()).daemon().start(this::live);
    }

    /** Lets it run, if it has not finished. Does not wait. */
    synchronized void resume() throws IOException {
        throwFailure();
        if (state == State.PAUSED || state == State.RUNNING) {
            wanted = true;
            vcpu.allowToRun();
            notifyAll();
        }
    }

    /** Asks it to leave the guest. Does not wait: see {@link #awaitPause}. */
    synchronized void requestPause() {
        wanted = false;
        if (state == State.RUNNING) {
            vcpu.interrupt();
            notifyAll();
        }
    }

    /** Sets the least time between the starts of two rounds of a touching program. */
    synchronized void pace(long nanos) {
        nanosPerRound = nanos;
        nextRound = System.nanoTime();
    }

    private synchronized void awaitNextRound() {
        nextRound += nanosPerRound;
        long left = nextRound - System.nanoTime();
        while (wanted && nanosPerRound > 0 && left > 0) {
            try {
                TimeUnit.NANOSECONDS.timedWait(this, left);
            } catch (InterruptedException ignored) {
                // Only close() ends this thread.
            }
            left = nextRound - System.nanoTime();
        }
        if (left < 0) {
            // It does not catch up on the time of a pause.
            nextRound = System.nanoTime();
        }
    }

    /** Waits until it is out of the guest, with nothing pending. This takes a moment, so it ignores interruption. */
    synchronized void awaitPause() {
        boolean interrupted = false;
        while (state == State.RUNNING) {
            try {
                wait();
            } catch (InterruptedException later) {
                interrupted = true;
            }
        }
        if (interrupted) {
            Thread.currentThread().interrupt();
        }
    }

    /** Waits until the program has finished. */
    synchronized void awaitFinish() throws IOException, InterruptedException {
        while (isRunning()) {
            wait();
        }
        throwFailure();
        if (state == State.PAUSED) {
            throw new IllegalStateException("vCPU " + vcpu.index() + " is paused; its program will not finish");
        }
    }

    /** Makes the running guest check its memory, and returns the result. */
    synchronized SelfCheck awaitCheck() throws IOException, InterruptedException {
        check = null;
        checkWanted = true;
        while (check == null && isRunning()) {
            wait();
        }
        throwFailure();
        if (check == null) {
            throw new IllegalStateException("vCPU " + vcpu.index() + " does not run a program that checks its memory");
        }
        return check;
    }

    /** Returns whether it is in the guest, or about to be. */
    synchronized boolean isRunning() {
        return state == State.RUNNING || (state == State.PAUSED && wanted);
    }

    synchronized boolean hasFinished() {
        return state == State.FINISHED;
    }

    /** Resets the state for another program. */
    synchronized void reset() {
        if (state == State.RUNNING) {
            throw new IllegalStateException("vCPU " + vcpu.index() + " is running; pause it first");
        }
        if (state != State.CLOSED) {
            state = State.PAUSED;
            failure = null;
        }
    }

    synchronized void throwFailure() throws IOException {
        if (failure != null) {
            throw new SnapshotException("vCPU " + vcpu.index() + " failed: " + failure.getMessage(), failure);
        }
    }

    /** Ends the thread; the vCPU is closed by its VM. */
    void close() {
        synchronized (this) {
            closing = true;
            wanted = false;
            vcpu.interrupt();
            notifyAll();
        }
        Uninterrupted.await(thread::join);
    }

    private void live() {
        while (awaitTurn()) {
            State next;
            IOException thrown = null;
            try {
                next = runUntilPaused();
            } catch (IOException | RuntimeException reason) {
                thrown = reason instanceof IOException io ? io : new SnapshotException(reason.getMessage(), reason);
                next = State.FAILED;
            }
            synchronized (this) {
                failure = thrown;
                state = next;
                wanted &= next == State.PAUSED;
                notifyAll();
            }
        }
    }

    private synchronized boolean awaitTurn() {
        while (!closing && !(wanted && state == State.PAUSED)) {
            try {
                wait();
            } catch (InterruptedException ignored) {
                // Only close() ends this thread.
            }
        }
        state = closing ? State.CLOSED : State.RUNNING;
        notifyAll();
        return !closing;
    }

    private State runUntilPaused() throws IOException {
        while (true) {
            VcpuExit exit = vcpu.run();
            switch (exit) {
                case VcpuExit.PortAccess access -> {
                    if (!serve(access)) {
                        // Only running the vCPU again completes the port access.
                        vcpu.interrupt();
                        vcpu.run();
                        return State.FINISHED;
                    }
                }
                case VcpuExit.Plain plain -> {
                    switch (plain) {
                        case INTERRUPTED -> {
                            if (pauseWanted()) {
                                return State.PAUSED;
                            }
                        }
                        case DIRTY_RING_FULL -> vm.dirtyRingFull();
                        case HALTED -> {
                            return State.FINISHED;
                        }
                        case SHUT_DOWN -> throw new SnapshotException("the guest program shut the machine down");
                    }
                }
                case VcpuExit.DeviceAccess access -> throw new SnapshotException("the guest program "
                        + (access.write() ? "wrote" : "read") + " address 0x"
                        + Long.toHexString(access.guestAddress()) + ", where this machine has no memory");
                case VcpuExit.Failed failed -> throw new SnapshotException(failed.reason());
            }
        }
    }

    private synchronized boolean pauseWanted() {
        return !wanted;
    }

    /** Returns whether the program continues. */
    private synchronized boolean serve(VcpuExit.PortAccess access) throws SnapshotException {
        MemorySegment data = access.data();
        if (access.sizeBytes() != Integer.BYTES) {
            throw new SnapshotException("the guest program used port 0x" + Integer.toHexString(access.port())
                    + " with " + access.sizeBytes() + " bytes; this machine's ports have 4");
        }
        switch (access.port()) {
            case GuestPorts.WHAT_NEXT -> {
                awaitNextRound();
                data.set(ValueLayout.JAVA_INT_UNALIGNED, 0, checkWanted ? GuestPorts.CHECK : 0);
                checkWanted = false;
            }
            case GuestPorts.COUNTED -> counted = data.get(ValueLayout.JAVA_INT_UNALIGNED, 0);
            case GuestPorts.EXPECTED -> {
                check = new SelfCheck(counted, data.get(ValueLayout.JAVA_INT_UNALIGNED, 0));
                notifyAll();
            }
            case GuestPorts.FINISHED -> {
                return false;
            }
            default -> throw new SnapshotException("the guest program used port 0x"
                    + Integer.toHexString(access.port()) + ", which this machine does not have");
        }
        return true;
    }
}
