package io.microsnap.kvm;

import io.microsnap.kvm.internal.abi.Capability;
import io.microsnap.kvm.internal.abi.Request;
import io.microsnap.kvm.internal.abi.Structs;
import java.lang.foreign.StructLayout;
import java.util.List;

/**
 * One struct of a vCPU's state, in KVM's format, in the order of loading: later parts depend on earlier ones, and
 * pending events come last.
 */
enum StatePart {
    MP_STATE("mp-state", Structs.KVM_MP_STATE, Request.KVM_GET_MP_STATE, Request.KVM_SET_MP_STATE,
            Capability.KVM_CAP_MP_STATE),
    REGISTERS("registers", Structs.KVM_REGS, Request.KVM_GET_REGS, Request.KVM_SET_REGS, null),
    SREGS2("sregs2", Structs.KVM_SREGS2, Request.KVM_GET_SREGS2, Request.KVM_SET_SREGS2, Capability.KVM_CAP_SREGS2),
    SREGS("sregs", Structs.KVM_SREGS, Request.KVM_GET_SREGS, Request.KVM_SET_SREGS, null),
    XCRS("xcrs", Structs.KVM_XCRS, Request.KVM_GET_XCRS, Request.KVM_SET_XCRS, Capability.KVM_CAP_XCRS),
    /** Its length is the capability's value. */
    XSAVE2("xsave2", Structs.KVM_XSAVE, Request.KVM_GET_XSAVE2, Request.KVM_SET_XSAVE, Capability.KVM_CAP_XSAVE2),
    XSAVE("xsave", Structs.KVM_XSAVE, Request.KVM_GET_XSAVE, Request.KVM_SET_XSAVE, Capability.KVM_CAP_XSAVE),
    FPU("fpu", Structs.KVM_FPU, Request.KVM_GET_FPU, Request.KVM_SET_FPU, null),
    DEBUG_REGISTERS("debug-registers", Structs.KVM_DEBUGREGS, Request.KVM_GET_DEBUGREGS, Request.KVM_SET_DEBUGREGS,
            Capability.KVM_CAP_DEBUGREGS),
    /** Exists only with an interrupt chip in the kernel. */
    LAPIC("lapic", Structs.KVM_LAPIC_STATE, Request.KVM_GET_LAPIC, Request.KVM_SET_LAPIC,
            Capability.KVM_CAP_IRQCHIP),
    EVENTS("events", Structs.KVM_VCPU_EVENTS, Request.KVM_GET_VCPU_EVENTS, Request.KVM_SET_VCPU_EVENTS,
            Capability.KVM_CAP_VCPU_EVENTS);

    /** Alternatives for the same state, the best first: the first one that KVM offers is saved. */
    static final List<List<StatePart>> ALTERNATIVES = List.of(
            List.of(MP_STATE), List.of(REGISTERS), List.of(SREGS2, SREGS), List.of(XCRS),
            List.of(XSAVE2, XSAVE, FPU), List.of(DEBUG_REGISTERS), List.of(LAPIC), List.of(EVENTS));

    private final String section;
    private final long lengthBytes;
    private final Request get;
    private final Request set;
    private final Capability needed;

    StatePart(String section, StructLayout struct, Request get, Request set, Capability needed) {
        this.section = section;
        lengthBytes = struct.byteSize();
        this.get = get;
        this.set = set;
        this.needed = needed;
    }

    /** Returns the last part of its section's name. */
    String section() {
        return section;
    }

    long lengthBytes() {
        return lengthBytes;
    }

    Request get() {
        return get;
    }

    Request set() {
        return set;
    }

    /** Returns the capability that KVM must have, or null if every KVM has the part. */
    Capability needed() {
        return needed;
    }
}
