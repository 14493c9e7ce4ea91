package io.microsnap.hvf;

import io.microsnap.hvf.internal.binding.Numbers;

/** Names the general registers of a vCPU. */
public enum Register {
    X0(Numbers.HV_REG_X0), X1(Numbers.HV_REG_X0 + 1), X2(Numbers.HV_REG_X0 + 2), X3(Numbers.HV_REG_X0 + 3),
    X4(Numbers.HV_REG_X0 + 4), X5(Numbers.HV_REG_X0 + 5), X6(Numbers.HV_REG_X0 + 6), X7(Numbers.HV_REG_X0 + 7),
    X8(Numbers.HV_REG_X0 + 8), X9(Numbers.HV_REG_X0 + 9), X10(Numbers.HV_REG_X0 + 10), X11(Numbers.HV_REG_X0 + 11),
    X12(Numbers.HV_REG_X0 + 12), X13(Numbers.HV_REG_X0 + 13), X14(Numbers.HV_REG_X0 + 14),
    X15(Numbers.HV_REG_X0 + 15), X16(Numbers.HV_REG_X0 + 16), X17(Numbers.HV_REG_X0 + 17),
    X18(Numbers.HV_REG_X0 + 18), X19(Numbers.HV_REG_X0 + 19), X20(Numbers.HV_REG_X0 + 20),
    X21(Numbers.HV_REG_X0 + 21), X22(Numbers.HV_REG_X0 + 22), X23(Numbers.HV_REG_X0 + 23),
    X24(Numbers.HV_REG_X0 + 24), X25(Numbers.HV_REG_X0 + 25), X26(Numbers.HV_REG_X0 + 26),
    X27(Numbers.HV_REG_X0 + 27), X28(Numbers.HV_REG_X0 + 28), X29(Numbers.HV_REG_X0 + 29),
    X30(Numbers.HV_REG_X0 + 30), PC(Numbers.HV_REG_PC), FPCR(Numbers.HV_REG_FPCR), FPSR(Numbers.HV_REG_FPSR),
    CPSR(Numbers.HV_REG_CPSR);

    private final int number;

    Register(int number) {
        this.number = number;
    }

    /** Returns the framework's number. */
    int number() {
        return number;
    }
}
