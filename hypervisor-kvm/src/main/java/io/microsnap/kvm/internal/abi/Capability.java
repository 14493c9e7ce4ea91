package io.microsnap.kvm.internal.abi;

/** The capabilities that a running KVM may have: always queried, never assumed. The names are the kernel's. */
public enum Capability {
    KVM_CAP_USER_MEMORY(3), KVM_CAP_SET_TSS_ADDR(4), KVM_CAP_NR_MEMSLOTS(10), KVM_CAP_MP_STATE(14),
    KVM_CAP_IRQCHIP(0), KVM_CAP_PIT_STATE2(35), KVM_CAP_ADJUST_CLOCK(39), KVM_CAP_VCPU_EVENTS(41),
    KVM_CAP_DEBUGREGS(50), KVM_CAP_XSAVE(55), KVM_CAP_XCRS(56), KVM_CAP_TSC_CONTROL(60), KVM_CAP_GET_TSC_KHZ(61),
    KVM_CAP_MAX_VCPUS(66), KVM_CAP_TSC_DEADLINE_TIMER(72), KVM_CAP_CHECK_EXTENSION_VM(105),
    KVM_CAP_IMMEDIATE_EXIT(136), KVM_CAP_MANUAL_DIRTY_LOG_PROTECT2(168), KVM_CAP_DIRTY_LOG_RING(192),
    KVM_CAP_SREGS2(200), KVM_CAP_XSAVE2(208), KVM_CAP_DIRTY_LOG_RING_ACQ_REL(223);

    private final int number;

    Capability(int number) {
        this.number = number;
    }

    /** Returns its number in the kernel. */
    public int number() {
        return number;
    }
}
