package io.microsnap.kvm;

import java.lang.foreign.MemorySegment;

/** Why a vCPU left the guest. */
public sealed interface VcpuExit {
    /** Exits without further data. */
    enum Plain implements VcpuExit {
        /** It was interrupted, or its thread got a signal; nothing is pending, so its state may be saved. */
        INTERRUPTED,
        /** The guest halted (only where the interrupt chip is not KVM's). */
        HALTED,
        /** A triple fault. */
        SHUT_DOWN,
        /** Its dirty ring is full: {@link VirtualMachine#dirtyRingFull} empties it, and then the vCPU can continue. */
        DIRTY_RING_FULL
    }

    /**
     * The guest reads or writes a port. The caller puts the value to read into the data and runs the vCPU again.
     *
     * @param out whether the guest writes
     * @param port the port's number
     * @param sizeBytes 1, 2 or 4
     * @param data the bytes, shared with the kernel until the vCPU runs again
     */
    record PortAccess(boolean out, int port, int sizeBytes, MemorySegment data) implements VcpuExit {
    }

    /**
     * The guest touches an address that no slot covers.
     *
     * @param guestAddress the address
     * @param write whether it writes
     * @param lengthBytes the length of the access
     */
    record DeviceAccess(long guestAddress, boolean write, int lengthBytes) implements VcpuExit {
    }

    /**
     * KVM cannot continue this vCPU.
     *
     * @param reason KVM's names and numbers for the failure
     */
    record Failed(String reason) implements VcpuExit {
    }
}
