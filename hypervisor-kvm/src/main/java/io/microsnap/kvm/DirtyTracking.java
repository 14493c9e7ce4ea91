package io.microsnap.kvm;

/** The ways in which KVM tells which pages a guest wrote. */
public enum DirtyTracking {
    /** {@code KVM_GET_DIRTY_LOG}: a bitmap a slot, cleared and protected again by being read. Every kernel has it. */
    LOG,
    /**
     * The bitmap, cleared by {@code KVM_CLEAR_DIRTY_LOG} in pieces: reading it does not hold up the guest, and where
     * the kernel offers it, enabling the log protects nothing yet.
     */
    MANUAL_CLEAR,
    /**
     * A ring of written pages a vCPU: costs by pages written and not by memory, but a full ring stops its vCPU. A KVM
     * that emulates guests may run past that, and over what was not read: then harvests fail, and nothing is missed
     * without a word. For that reason it is never chosen without being asked for.
     */
    RING
}
