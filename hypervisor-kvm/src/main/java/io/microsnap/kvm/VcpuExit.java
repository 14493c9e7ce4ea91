package io.microsnap.kvm;

import java.lang.foreign.MemorySegment;

/** Why a vCPU left the guest. */
public sealed interface VcpuExit {
    /** Exits that say nothing more. */
    enum Plain implements VcpuExit {
        /** It was asked to leave, or its thread got a signal; nothing is pending, its state may be saved. */
        INTERRUPTED,
        /** The guest halted (only where the interrupt chip is not KVM's). */
        HALTED,
        /** A triple fault. */
        SHUT_DOWN,
        /** Its dirty ring is full: {@link VirtualMachine#dirtyRingFull} empties it, then it can run on. */
        DIRTY_RING_FULL
    }

    /**
     * The guest reads or writes a port. What it reads is put into the data, then the vCPU is run again.
     *
     * @param out whether the guest writes
     * @param port the port's number
     * @param sizeBytes 1, 2 or 4
     * @param data the bytes, shared with the kernel until the vCPU runs again
     */
    record PortAccess(boolean out, int port, int sizeBytes, MemorySegment data) implements VcpuExit {
    }

    /**
     * The guest touches an address where no slot is.
     *
     * @param guestAddress where
     * @param write whether it writes
     * @param lengthBytes how much
     */
    record DeviceAccess(long guestAddress, boolean write, int lengthBytes) implements VcpuExit {
    }

    /**
     * KVM cannot go on with this vCPU.
     *
     * @param reason KVM's words and numbers for it
     */
    record Failed(String reason) implements VcpuExit {
    }
}
