package example;

import io.microsnap.kvm.Vcpu;
import io.microsnap.kvm.VcpuExit;
import io.microsnap.kvm.VcpuThreads;
import io.microsnap.kvm.VirtualMachine;
import java.io.IOException;

/** The thread of a VM's one vCPU, and the one device that this VM manager has: a port. */
final class RunLoop implements VcpuThreads {
    private final Vcpu vcpu;
    private final Thread thread;
    private boolean wanted;
    private boolean inGuest;
    private boolean ending;
    private Exception failure;

    /** Starts the thread, paused. */
    RunLoop(VirtualMachine vm) {
        vcpu = vm.vcpus().getFirst();
        thread = Thread.ofPlatform().name("vcpu-0").daemon().start(this::live);
    }

    @Override
    public synchronized void resume() throws IOException {
        throwFailure();
        wanted = true;
        vcpu.allowToRun();
        notifyAll();
    }

    @Override
    public synchronized void pause() throws IOException {
        stop();
        boolean interrupted = false;
        while (inGuest) {
            try {
                wait();
            } catch (InterruptedException later) {
                interrupted = true;     // A pause is not left half done.
            }
        }
        if (interrupted) {
            Thread.currentThread().interrupt();
        }
        throwFailure();
    }

    @Override
    public void close() {
        synchronized (this) {
            ending = true;
            stop();
        }
        boolean interrupted = false;
        while (thread.isAlive()) {
            try {
                thread.join();
            } catch (InterruptedException later) {
                interrupted = true;
            }
        }
        if (interrupted) {
            Thread.currentThread().interrupt();
        }
    }

    private void stop() {
        wanted = false;
        vcpu.interrupt();
        notifyAll();
    }

    private void throwFailure() throws IOException {
        if (failure != null) {
            throw new IOException("the vCPU failed: " + failure.getMessage(), failure);
        }
    }

    private void live() {
        while (enter()) {
            Exception thrown = null;
            try {
                runUntilPaused();
            } catch (IOException | RuntimeException reason) {
                thrown = reason;
            }
            leave(thrown);
        }
    }

    private synchronized boolean enter() {
        while (!ending && (!wanted || failure != null)) {
            try {
                wait();
            } catch (InterruptedException ignored) {
                // Only close() ends this thread.
            }
        }
        inGuest = !ending;
        return inGuest;
    }

    private synchronized void leave(Exception thrown) {
        failure = thrown;
        inGuest = false;
        notifyAll();
    }

    private synchronized boolean isWanted() {
        return wanted;
    }

    private void runUntilPaused() throws IOException {
        while (true) {
            VcpuExit exit = vcpu.run();
            boolean served = switch (exit) {
                case VcpuExit.PortAccess access -> access.port() == Firmware.ROUND_PORT && access.out();
                case VcpuExit.Plain plain -> plain == VcpuExit.Plain.INTERRUPTED;
                case VcpuExit.DeviceAccess access -> false;
                case VcpuExit.Failed failed -> false;
            };
            if (!served) {
                throw new IOException("the guest left for " + exit + ", which this VM manager does not serve");
            }
            // Having been interrupted, the vCPU first completes its port access, then says so.
            if (exit == VcpuExit.Plain.INTERRUPTED && !isWanted()) {
                return;
            }
        }
    }
}
