package io.microsnap.hvf;

import io.microsnap.hvf.internal.binding.Numbers;

/** The lines that interrupt a vCPU if it has no interrupt controller. */
public enum InterruptLine {
    IRQ(Numbers.HV_INTERRUPT_TYPE_IRQ), FIQ(Numbers.HV_INTERRUPT_TYPE_FIQ);

    private final int number;

    InterruptLine(int number) {
        this.number = number;
    }

    /** Returns the framework's number. */
    int number() {
        return number;
    }
}
