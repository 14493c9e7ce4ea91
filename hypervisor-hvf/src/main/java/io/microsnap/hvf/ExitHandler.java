package io.microsnap.hvf;

import java.io.IOException;

/**
 * Serves what a guest asks of its VM manager: device accesses, hypercalls, timers. Exits that dirty tracking causes are
 * served before it and never arrive here.
 */
@FunctionalInterface
public interface ExitHandler {
    /**
     * Serves one exit, on the vCPU's own thread, and leaves the vCPU's registers as they must be to go on. It must not
     * wait for long: a pause waits for it.
     *
     * @return whether the vCPU goes on; if not, it is off until {@link Vcpu#start}
     */
    boolean handle(Vcpu vcpu, VcpuExit exit) throws IOException;
}
