package io.microsnap.hvf;

import java.io.IOException;

/**
 * Handles a guest's exits for the VM manager: device accesses, hypercalls, timers. Dirty tracking handles its own exits
 * first; they never arrive here.
 */
@FunctionalInterface
public interface ExitHandler {
    /**
     * Handles one exit, on the vCPU's own thread, and sets the vCPU's registers so that it can continue. It must not
     * wait for long, because a pause waits for it.
     *
     * @return whether the vCPU continues; if not, it is off until {@link Vcpu#start}
     */
    boolean handle(Vcpu vcpu, VcpuExit exit) throws IOException;
}
