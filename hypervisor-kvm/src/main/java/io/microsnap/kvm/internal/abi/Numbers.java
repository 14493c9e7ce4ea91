package io.microsnap.kvm.internal.abi;

/** Plain numbers of {@code linux/kvm.h}, under their names there. */
public final class Numbers {
    public static final int KVM_API_VERSION = 12;

    public static final int KVM_MEM_LOG_DIRTY_PAGES = 1;

    public static final int KVM_DIRTY_LOG_MANUAL_PROTECT_ENABLE = 1;
    public static final int KVM_DIRTY_LOG_INITIALLY_SET = 2;
    public static final int KVM_DIRTY_GFN_F_DIRTY = 1;
    public static final int KVM_DIRTY_GFN_F_RESET = 2;
    /** The offset, in pages, at which a vCPU's dirty ring is mapped. */
    public static final int KVM_DIRTY_LOG_PAGE_OFFSET = 64;

    public static final int KVM_EXIT_IO = 2;
    public static final int KVM_EXIT_HLT = 5;
    public static final int KVM_EXIT_MMIO = 6;
    public static final int KVM_EXIT_SHUTDOWN = 8;
    public static final int KVM_EXIT_FAIL_ENTRY = 9;
    public static final int KVM_EXIT_INTERNAL_ERROR = 17;
    public static final int KVM_EXIT_DIRTY_RING_FULL = 31;
    public static final int KVM_EXIT_IO_OUT = 1;

    private Numbers() {
    }
}
