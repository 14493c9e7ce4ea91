package io.microsnap.kvm;

import java.io.IOException;

/**
 * The threads on which a VM manager runs the vCPUs of one VM, as {@link KvmGuest} sees them. Calls come from one thread
 * at a time.
 */
public interface VcpuThreads extends AutoCloseable {
    /**
     * Takes every vCPU out of the guest: {@link Vcpu#interrupt} for each of them, then a wait for each. When this
     * returns no thread is in {@link Vcpu#run} and no port or device access is half done, also if it throws.
     */
    void pause() throws IOException;

    /** Lets every vCPU enter the guest again that is to run. */
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
