package io.microsnap.hvf;

import io.microsnap.hvf.internal.binding.Numbers;
import io.microsnap.hvf.internal.binding.Structs;
import java.lang.foreign.MemorySegment;

/**
 * Tells why a vCPU left the guest.
 *
 * @param reason the kind of exit
 * @param syndrome of an exception: what {@code ESR_EL2} holds
 * @param virtualAddress of an abort: the address the guest used
 * @param physicalAddress of an abort: the guest-physical address
 */
public record VcpuExit(Reason reason, long syndrome, long virtualAddress, long physicalAddress) {
    private static final int CLASS_SHIFT = 26;
    private static final int CLASS_MASK = 0x3f;
    private static final int INSTRUCTION_ABORT = 0x20;
    private static final int DATA_ABORT = 0x24;
    private static final long WRITE = 1 << 6;
    private static final long TABLE_WALK = 1 << 7;

    /** The kinds of exits. */
    public enum Reason {
        /** A thread requested it. */
        CANCELED,
        /** The guest needs the VM manager: the syndrome says why. */
        EXCEPTION,
        /** The virtual timer fired, and is masked from here on. */
        VTIMER_ACTIVATED,
        /** The framework does not report a reason. */
        UNKNOWN
    }

    /** Reads the exit that the framework wrote. */
    static VcpuExit of(MemorySegment exit) {
        Reason reason = switch ((int) Structs.EXIT_REASON.get(exit)) {
            case Numbers.HV_EXIT_REASON_CANCELED -> Reason.CANCELED;
            case Numbers.HV_EXIT_REASON_EXCEPTION -> Reason.EXCEPTION;
            case Numbers.HV_EXIT_REASON_VTIMER_ACTIVATED -> Reason.VTIMER_ACTIVATED;
            default -> Reason.UNKNOWN;
        };
        return new VcpuExit(reason, (long) Structs.EXIT_SYNDROME.get(exit),
                (long) Structs.EXIT_VIRTUAL_ADDRESS.get(exit), (long) Structs.EXIT_PHYSICAL_ADDRESS.get(exit));
    }

    /** Returns the class of the exception, such as 0x16 for {@code HVC} and 0x24 for a data abort. */
    public int exceptionClass() {
        return (int) (syndrome >>> CLASS_SHIFT) & CLASS_MASK;
    }

    /**
     * Tells whether the guest may have tried to write the address. This ignores the fault status, which varies for the
     * same cause. A walk of the guest's page tables counts whatever caused it: memory can always be read, so only the
     * processor's own update of an entry can fail, and an instruction abort has no bit for a write.
     */
    boolean mayBeWrite() {
        if (reason != Reason.EXCEPTION) {
            return false;
        }
        boolean tableWalk = (syndrome & TABLE_WALK) != 0;
        return switch (exceptionClass()) {
            case DATA_ABORT -> tableWalk || (syndrome & WRITE) != 0;
            case INSTRUCTION_ABORT -> tableWalk;
            default -> false;
        };
    }

    @Override
    public String toString() {
        return reason == Reason.EXCEPTION
                ? "exception with syndrome 0x" + Long.toHexString(syndrome) + " at guest address 0x"
                        + Long.toHexString(physicalAddress)
                : reason.name();
    }
}
