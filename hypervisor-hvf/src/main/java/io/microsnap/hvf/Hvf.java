package io.microsnap.hvf;

import io.microsnap.core.GuestMemory;
import io.microsnap.core.SnapshotException;
import io.microsnap.hvf.internal.binding.HypervisorFramework;
import java.io.IOException;
import java.lang.foreign.Arena;
import java.lang.foreign.MemorySegment;
import java.lang.foreign.ValueLayout;
import java.nio.charset.StandardCharsets;
import java.util.Objects;
import java.util.Set;

/** Gives access to Hypervisor.framework: what this system offers, and the way to a VM. Safe for use by any thread. */
public final class Hvf {
    private static final int LONGEST_NAME = 256;

    private final HypervisorFramework framework;

    private Hvf(HypervisorFramework framework) {
        this.framework = Objects.requireNonNull(framework);
    }

    /**
     * Opens this Mac's Hypervisor.framework. If that is impossible, the exception says why and what would enable it.
     * Only making a VM shows whether the java launcher may use the framework: see {@link #probe}.
     */
    public static Hvf open() throws IOException {
        Hvf hvf = over(HypervisorFramework.ofThisMac());
        hvf.requireSupport();
        return hvf;
    }

    /** Uses these calls. */
    static Hvf over(HypervisorFramework framework) {
        return new Hvf(framework);
    }

    /**
     * Makes a VM and ends it: the only way to learn whether the java launcher may use the framework. Fails, too, while
     * this process has a VM.
     */
    public void probe() throws IOException {
        Calls.check(framework.hv_vm_create(MemorySegment.NULL), "hv_vm_create", "");
        Calls.check(framework.hv_vm_destroy(), "hv_vm_destroy", "");
    }

    /** Refuses a processor or virtual Mac that cannot run a hypervisor. */
    void requireSupport() throws IOException {
        try (Arena arena = Arena.ofConfined()) {
            MemorySegment value = arena.allocate(ValueLayout.JAVA_INT);
            if (framework.sysctlbyname("kern.hv_support", value) != Integer.BYTES
                    || value.get(ValueLayout.JAVA_INT, 0) == 0) {
                throw new SnapshotException("this Mac cannot run guests (sysctl kern.hv_support is 0); inside a virtual"
                        + " machine, nested virtualization needs an M3 or later, macOS 15 and its host's consent");
            }
        }
    }

    /** Returns the build of the running macOS, such as {@code 24A335}; empty if the system does not report it. */
    public String osBuild() {
        try (Arena arena = Arena.ofConfined()) {
            MemorySegment value = arena.allocate(LONGEST_NAME);
            int length = framework.sysctlbyname("kern.osversion", value);
            return length <= 0 ? "" : value.getString(0, StandardCharsets.US_ASCII);
        }
    }

    /** Names the functions that this macOS lacks; guests work without them. */
    public Set<String> missing() {
        return framework.missing();
    }

    /**
     * Makes a VM with this memory and no vCPUs yet. A process has one VM at a time. The caller closes the memory, after
     * the VM.
     */
    public VirtualMachine createVirtualMachine(MachineSpec spec, GuestMemory memory) throws IOException {
        return VirtualMachine.create(this, spec, memory);
    }

    HypervisorFramework framework() {
        return framework;
    }
}
