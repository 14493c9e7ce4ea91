package io.microsnap.hvf.internal.binding;

/** Holds the numbers of Hypervisor.framework on Apple silicon that have no type of their own. */
public final class Numbers {
    public static final long HV_MEMORY_READ = 1;
    public static final long HV_MEMORY_WRITE = 2;
    public static final long HV_MEMORY_EXEC = 4;

    public static final int HV_EXIT_REASON_CANCELED = 0;
    public static final int HV_EXIT_REASON_EXCEPTION = 1;
    public static final int HV_EXIT_REASON_VTIMER_ACTIVATED = 2;
    public static final int HV_EXIT_REASON_UNKNOWN = 3;

    public static final int HV_REG_X0 = 0;
    public static final int HV_REG_PC = 31;
    public static final int HV_REG_FPCR = 32;
    public static final int HV_REG_FPSR = 33;
    public static final int HV_REG_CPSR = 34;
    public static final int HV_SIMD_FP_REG_Q31 = 31;

    public static final int HV_INTERRUPT_TYPE_IRQ = 0;
    public static final int HV_INTERRUPT_TYPE_FIQ = 1;

    public static final int HV_IPA_GRANULE_4KB = 0;
    public static final int HV_IPA_GRANULE_16KB = 1;

    private Numbers() {
    }
}
