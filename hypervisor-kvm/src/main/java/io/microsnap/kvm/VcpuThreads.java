package io.microsnap.kvm;

import java.io.IOException;

/**
 * Controls the threads on which a VM manager runs the vCPUs of one VM, for {@link KvmGuest}, which calls from one
 * thread at a time.
 */
public interface VcpuThreads extends AutoCloseable {
    /**
     * Makes every vCPU leave the guest: calls {@link Vcpu#interrupt} for each of them, then waits for each. When this
     * returns or throws, no thread is in {@link Vcpu#run} and no port or device access is half done.
     */
    void pause() throws IOException;

    /** Lets the vCPUs enter the guest again. */
    void resume() throws IOException;

    /** Ends the threads and waits for their end. The vCPUs stay open. A second call does nothing. */
    @Override
    void close() throws IOException;

    /** Makes the threads of a VM. */
    interface Starter {
        /** Starts a thread for each vCPU, paused: none enters the guest before {@link VcpuThreads#resume}. */
        VcpuThreads start(VirtualMachine vm) throws IOException;
    }
}
