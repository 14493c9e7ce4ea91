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
     * Opens this Mac's Hypervisor.framework. Where that is not possible, the exception says why and what would enable
     * it. Whether the java launcher may use it shows only when a VM is made: see {@link #probe}.
     */
    public static Hvf open() throws IOException {
        Hvf hvf = over(HypervisorFramework.ofThisMac());
        hvf.requireSupport();
        return hvf;
    }

    /** Uses the calls given. */
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

    /** Refuses a processor, or a virtual Mac, that has no room for another hypervisor. */
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

    /** Returns the build of the running macOS, such as {@code 24A335}; empty where the system does not say. */
    public String osBuild() {
        try (Arena arena = Arena.ofConfined()) {
            MemorySegment value = arena.allocate(LONGEST_NAME);
            int length = framework.sysctlbyname("kern.osversion", value);
            return length <= 0 ? "" : value.getString(0, StandardCharsets.US_ASCII);
        }
    }

    /** Names the functions that this macOS lacks; guests do without them. */
    public Set<String> missing() {
        return framework.missing();
    }

    /**
     * Makes a VM with this memory and no vCPUs yet. A process has one VM at a time. The memory stays the caller's and
     * is closed after the VM.
     */
    public VirtualMachine createVirtualMachine(MachineSpec spec, GuestMemory memory) throws IOException {
        return VirtualMachine.create(this, spec, memory);
    }

    HypervisorFramework framework() {
        return framework;
    }
}
