package io.microsnap.kvm;

/** The ways in which KVM reports which pages a guest wrote. */
public enum DirtyTracking {
    /**
     * {@code KVM_GET_DIRTY_LOG}: a bitmap for each slot; reading it clears it and protects the pages again. Every
     * kernel has it.
     */
    LOG,
    /**
     * The bitmap, cleared in pieces by {@code KVM_CLEAR_DIRTY_LOG}: reading it does not delay the guest, and if the
     * kernel supports that, enabling the log does not protect pages yet.
     */
    MANUAL_CLEAR,
    /**
     * A ring of written pages for each vCPU: its cost depends on the written pages and not on the memory, but a full
     * ring stops its vCPU. A KVM that emulates guests may miss that point and overwrite unread entries: then harvests
     * fail, so that no loss goes unnoticed. For that reason it is used only on request.
     */
    RING
}
