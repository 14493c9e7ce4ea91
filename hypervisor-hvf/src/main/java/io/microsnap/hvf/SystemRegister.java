package io.microsnap.hvf;

import java.util.ArrayList;
import java.util.List;
import java.util.stream.Stream;

/**
 * A system register of the guest, given by the operands of {@code MRS}, from which its identifier is computed.
 *
 * @param name the architecture's name
 * @param id Hypervisor.framework's identifier: 16 bits, unsigned
 */
public record SystemRegister(String name, char id) {
    public static final SystemRegister MPIDR_EL1 = of("MPIDR_EL1", 3, 0, 0, 0, 5);
    public static final SystemRegister SCTLR_EL1 = of("SCTLR_EL1", 3, 0, 1, 0, 0);
    public static final SystemRegister TPIDR_EL1 = of("TPIDR_EL1", 3, 0, 13, 0, 4);
    public static final SystemRegister CNTV_CTL_EL0 = of("CNTV_CTL_EL0", 3, 3, 14, 3, 1);
    public static final SystemRegister CNTV_CVAL_EL0 = of("CNTV_CVAL_EL0", 3, 3, 14, 3, 2);
    public static final SystemRegister CNTP_CTL_EL0 = of("CNTP_CTL_EL0", 3, 3, 14, 2, 1);
    public static final SystemRegister CNTP_CVAL_EL0 = of("CNTP_CVAL_EL0", 3, 3, 14, 2, 2);

    /** Registers that identify the processor and its features: compared, never loaded. */
    public static final List<SystemRegister> IDENTIFICATION = List.of(
            of("MIDR_EL1", 3, 0, 0, 0, 0),
            of("ID_AA64PFR0_EL1", 3, 0, 0, 4, 0),
            of("ID_AA64PFR1_EL1", 3, 0, 0, 4, 1),
            of("ID_AA64ZFR0_EL1", 3, 0, 0, 4, 4),
            of("ID_AA64SMFR0_EL1", 3, 0, 0, 4, 5),
            of("ID_AA64DFR0_EL1", 3, 0, 0, 5, 0),
            of("ID_AA64DFR1_EL1", 3, 0, 0, 5, 1),
            of("ID_AA64ISAR0_EL1", 3, 0, 0, 6, 0),
            of("ID_AA64ISAR1_EL1", 3, 0, 0, 6, 1),
            of("ID_AA64MMFR0_EL1", 3, 0, 0, 7, 0),
            of("ID_AA64MMFR1_EL1", 3, 0, 0, 7, 1),
            of("ID_AA64MMFR2_EL1", 3, 0, 0, 7, 2));

    /** Registers that software at EL1 and EL0 sets, except keys and timers. */
    public static final List<SystemRegister> SYSTEM = Stream.concat(Stream.of(
            SCTLR_EL1,
            of("ACTLR_EL1", 3, 0, 1, 0, 1),
            of("CPACR_EL1", 3, 0, 1, 0, 2),
            of("SMPRI_EL1", 3, 0, 1, 2, 4),
            of("SMCR_EL1", 3, 0, 1, 2, 6),
            of("TTBR0_EL1", 3, 0, 2, 0, 0),
            of("TTBR1_EL1", 3, 0, 2, 0, 1),
            of("TCR_EL1", 3, 0, 2, 0, 2),
            of("SPSR_EL1", 3, 0, 4, 0, 0),
            of("ELR_EL1", 3, 0, 4, 0, 1),
            of("SP_EL0", 3, 0, 4, 1, 0),
            of("SP_EL1", 3, 4, 4, 1, 0),
            of("AFSR0_EL1", 3, 0, 5, 1, 0),
            of("AFSR1_EL1", 3, 0, 5, 1, 1),
            of("ESR_EL1", 3, 0, 5, 2, 0),
            of("FAR_EL1", 3, 0, 6, 0, 0),
            of("PAR_EL1", 3, 0, 7, 4, 0),
            of("MAIR_EL1", 3, 0, 10, 2, 0),
            of("AMAIR_EL1", 3, 0, 10, 3, 0),
            of("VBAR_EL1", 3, 0, 12, 0, 0),
            of("CONTEXTIDR_EL1", 3, 0, 13, 0, 1),
            TPIDR_EL1,
            of("SCXTNUM_EL1", 3, 0, 13, 0, 7),
            of("CNTKCTL_EL1", 3, 0, 14, 1, 0),
            of("CSSELR_EL1", 3, 2, 0, 0, 0),
            of("TPIDR_EL0", 3, 3, 13, 0, 2),
            of("TPIDRRO_EL0", 3, 3, 13, 0, 3),
            of("TPIDR2_EL0", 3, 3, 13, 0, 5),
            of("SCXTNUM_EL0", 3, 3, 13, 0, 7),
            of("MDCCINT_EL1", 2, 0, 0, 2, 0),
            of("MDSCR_EL1", 2, 0, 0, 2, 2)), debug()).toList();

    /** The keys of pointer authentication. */
    public static final List<SystemRegister> KEYS = List.of(
            of("APIAKEYLO_EL1", 3, 0, 2, 1, 0), of("APIAKEYHI_EL1", 3, 0, 2, 1, 1),
            of("APIBKEYLO_EL1", 3, 0, 2, 1, 2), of("APIBKEYHI_EL1", 3, 0, 2, 1, 3),
            of("APDAKEYLO_EL1", 3, 0, 2, 2, 0), of("APDAKEYHI_EL1", 3, 0, 2, 2, 1),
            of("APDBKEYLO_EL1", 3, 0, 2, 2, 2), of("APDBKEYHI_EL1", 3, 0, 2, 2, 3),
            of("APGAKEYLO_EL1", 3, 0, 2, 3, 0), of("APGAKEYHI_EL1", 3, 0, 2, 3, 1));

    /**
     * The timers, each compare value before the control that lets it fire. Without {@code TVAL}, which is another view
     * of the compare value, relative to the time of access.
     */
    public static final List<SystemRegister> TIMERS =
            List.of(CNTV_CVAL_EL0, CNTV_CTL_EL0, CNTP_CVAL_EL0, CNTP_CTL_EL0);

    /**
     * The CPU interface of the interrupt controller, by the identifiers of {@code hv_gic_get_icc_reg}: the registers
     * that enable interrupts come last. The running priority is derived from the active ones and cannot be set.
     */
    public static final List<SystemRegister> ICC = List.of(
            of("ICC_SRE_EL1", 3, 0, 12, 12, 5),
            of("ICC_CTLR_EL1", 3, 0, 12, 12, 4),
            of("ICC_PMR_EL1", 3, 0, 4, 6, 0),
            of("ICC_BPR0_EL1", 3, 0, 12, 8, 3),
            of("ICC_BPR1_EL1", 3, 0, 12, 12, 3),
            of("ICC_AP0R0_EL1", 3, 0, 12, 8, 4),
            of("ICC_AP1R0_EL1", 3, 0, 12, 9, 0),
            of("ICC_IGRPEN0_EL1", 3, 0, 12, 12, 6),
            of("ICC_IGRPEN1_EL1", 3, 0, 12, 12, 7));

    private static final int BREAKPOINTS = 16;

    /** Returns the register with these operands. */
    public static SystemRegister of(String name, int op0, int op1, int crn, int crm, int op2) {
        return new SystemRegister(name, (char) (op0 << 14 | op1 << 11 | crn << 7 | crm << 3 | op2));
    }

    private static Stream<SystemRegister> debug() {
        List<SystemRegister> registers = new ArrayList<>();
        for (int number = 0; number < BREAKPOINTS; number++) {
            registers.add(of("DBGBVR" + number + "_EL1", 2, 0, 0, number, 4));
            registers.add(of("DBGBCR" + number + "_EL1", 2, 0, 0, number, 5));
            registers.add(of("DBGWVR" + number + "_EL1", 2, 0, 0, number, 6));
            registers.add(of("DBGWCR" + number + "_EL1", 2, 0, 0, number, 7));
        }
        return registers.stream();
    }

    @Override
    public String toString() {
        return name;
    }
}
