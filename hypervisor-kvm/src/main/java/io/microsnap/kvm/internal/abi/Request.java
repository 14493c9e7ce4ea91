package io.microsnap.kvm.internal.abi;

import java.lang.foreign.MemoryLayout;

/**
 * The ioctls of KVM that this library uses: on {@code /dev/kvm}, on a VM, and on a vCPU. The names are the kernel's.
 */
public enum Request {
    KVM_GET_API_VERSION(0x00),
    KVM_CREATE_VM(0x01),
    KVM_GET_MSR_INDEX_LIST(Direction.READS_AND_WRITES, 0x02, Structs.KVM_MSR_LIST),
    KVM_CHECK_EXTENSION(0x03),
    KVM_GET_VCPU_MMAP_SIZE(0x04),
    KVM_GET_SUPPORTED_CPUID(Direction.READS_AND_WRITES, 0x05, Structs.KVM_CPUID2),

    KVM_CREATE_VCPU(0x41),
    KVM_GET_DIRTY_LOG(Direction.WRITES, 0x42, Structs.KVM_DIRTY_LOG),
    KVM_SET_USER_MEMORY_REGION(Direction.WRITES, 0x46, Structs.KVM_USERSPACE_MEMORY_REGION),
    KVM_SET_TSS_ADDR(0x47),
    KVM_CREATE_IRQCHIP(0x60),
    KVM_GET_IRQCHIP(Direction.READS_AND_WRITES, 0x62, Structs.KVM_IRQCHIP),
    KVM_SET_IRQCHIP(Direction.READS, 0x63, Structs.KVM_IRQCHIP),
    KVM_CREATE_PIT2(Direction.WRITES, 0x77, Structs.KVM_PIT_CONFIG),
    KVM_SET_CLOCK(Direction.WRITES, 0x7b, Structs.KVM_CLOCK_DATA),
    KVM_GET_CLOCK(Direction.READS, 0x7c, Structs.KVM_CLOCK_DATA),
    KVM_GET_PIT2(Direction.READS, 0x9f, Structs.KVM_PIT_STATE2),
    KVM_SET_PIT2(Direction.WRITES, 0xa0, Structs.KVM_PIT_STATE2),
    KVM_ENABLE_CAP(Direction.WRITES, 0xa3, Structs.KVM_ENABLE_CAP),
    KVM_CLEAR_DIRTY_LOG(Direction.READS_AND_WRITES, 0xc0, Structs.KVM_CLEAR_DIRTY_LOG),
    KVM_RESET_DIRTY_RINGS(0xc7),

    KVM_RUN(0x80),
    KVM_GET_REGS(Direction.READS, 0x81, Structs.KVM_REGS),
    KVM_SET_REGS(Direction.WRITES, 0x82, Structs.KVM_REGS),
    KVM_GET_SREGS(Direction.READS, 0x83, Structs.KVM_SREGS),
    KVM_SET_SREGS(Direction.WRITES, 0x84, Structs.KVM_SREGS),
    KVM_GET_MSRS(Direction.READS_AND_WRITES, 0x88, Structs.KVM_MSRS),
    KVM_SET_MSRS(Direction.WRITES, 0x89, Structs.KVM_MSRS),
    KVM_GET_FPU(Direction.READS, 0x8c, Structs.KVM_FPU),
    KVM_SET_FPU(Direction.WRITES, 0x8d, Structs.KVM_FPU),
    KVM_GET_LAPIC(Direction.READS, 0x8e, Structs.KVM_LAPIC_STATE),
    KVM_SET_LAPIC(Direction.WRITES, 0x8f, Structs.KVM_LAPIC_STATE),
    KVM_SET_CPUID2(Direction.WRITES, 0x90, Structs.KVM_CPUID2),
    KVM_GET_CPUID2(Direction.READS_AND_WRITES, 0x91, Structs.KVM_CPUID2),
    KVM_GET_MP_STATE(Direction.READS, 0x98, Structs.KVM_MP_STATE),
    KVM_SET_MP_STATE(Direction.WRITES, 0x99, Structs.KVM_MP_STATE),
    KVM_GET_VCPU_EVENTS(Direction.READS, 0x9f, Structs.KVM_VCPU_EVENTS),
    KVM_SET_VCPU_EVENTS(Direction.WRITES, 0xa0, Structs.KVM_VCPU_EVENTS),
    KVM_GET_DEBUGREGS(Direction.READS, 0xa1, Structs.KVM_DEBUGREGS),
    KVM_SET_DEBUGREGS(Direction.WRITES, 0xa2, Structs.KVM_DEBUGREGS),
    KVM_SET_TSC_KHZ(0xa2),
    KVM_GET_TSC_KHZ(0xa3),
    KVM_GET_XSAVE(Direction.READS, 0xa4, Structs.KVM_XSAVE),
    KVM_SET_XSAVE(Direction.WRITES, 0xa5, Structs.KVM_XSAVE),
    KVM_GET_XCRS(Direction.READS, 0xa6, Structs.KVM_XCRS),
    KVM_SET_XCRS(Direction.WRITES, 0xa7, Structs.KVM_XCRS),
    KVM_GET_SREGS2(Direction.READS, 0xcc, Structs.KVM_SREGS2),
    KVM_SET_SREGS2(Direction.WRITES, 0xcd, Structs.KVM_SREGS2),
    KVM_GET_XSAVE2(Direction.READS, 0xcf, Structs.KVM_XSAVE);

    /** Which side fills the struct. */
    private enum Direction {
        WRITES(1), READS(2), READS_AND_WRITES(3);

        private final long bits;

        Direction(long bits) {
            this.bits = bits;
        }
    }

    private static final long TYPE = 0xae;
    private static final int TYPE_SHIFT = 8;
    private static final int SIZE_SHIFT = 16;
    private static final int DIRECTION_SHIFT = 30;

    private final long number;

    /** Makes a request without an argument, or with a plain number. */
    Request(int command) {
        number = TYPE << TYPE_SHIFT | command;
    }

    Request(Direction direction, int command, MemoryLayout struct) {
        number = direction.bits << DIRECTION_SHIFT | struct.byteSize() << SIZE_SHIFT
                | TYPE << TYPE_SHIFT | command;
    }

    /** Returns the number that the kernel receives. */
    public long number() {
        return number;
    }
}
