package io.microsnap.hvf;

import io.microsnap.hvf.internal.binding.HvReturn;
import io.microsnap.hvf.internal.binding.HypervisorException;
import io.microsnap.hvf.internal.binding.HypervisorFramework;
import java.io.IOException;
import java.lang.foreign.Arena;
import java.lang.foreign.MemorySegment;
import java.lang.foreign.ValueLayout;
import java.util.Optional;

/** Reads and writes the state of one vCPU, on that vCPU's thread alone. */
final class VcpuRegisters {
    static final int VECTOR_BYTES = 16;

    private final HypervisorFramework framework;
    private final long id;
    private final String name;
    private final MemorySegment scratch;

    VcpuRegisters(HypervisorFramework framework, long id, String name, Arena arena) {
        this.framework = framework;
        this.id = id;
        this.name = name;
        scratch = arena.allocate(VECTOR_BYTES, VECTOR_BYTES);
    }

    long id() {
        return id;
    }

    long get(Register register) throws IOException {
        check(framework.hv_vcpu_get_reg(id, register.number(), scratch), "hv_vcpu_get_reg", register);
        return word();
    }

    void set(Register register, long value) throws IOException {
        check(framework.hv_vcpu_set_reg(id, register.number(), value), "hv_vcpu_set_reg", register);
    }

    void vector(int register, MemorySegment into) throws IOException {
        check(framework.hv_vcpu_get_simd_fp_reg(id, register, scratch), "hv_vcpu_get_simd_fp_reg", register);
        into.copyFrom(scratch);
    }

    void setVector(int register, MemorySegment from) throws IOException {
        scratch.copyFrom(from);
        check(framework.hv_vcpu_set_simd_fp_reg(id, register, scratch), "hv_vcpu_set_simd_fp_reg", register);
    }

    long system(SystemRegister register) throws IOException {
        check(framework.hv_vcpu_get_sys_reg(id, register.id(), scratch), "hv_vcpu_get_sys_reg", register);
        return word();
    }

    /** Reads a register that the running system may lack. */
    Optional<Long> systemIfThere(SystemRegister register) throws IOException {
        return ifThere(framework.hv_vcpu_get_sys_reg(id, register.id(), scratch), "hv_vcpu_get_sys_reg", register);
    }

    void setSystem(SystemRegister register, long value) throws IOException {
        check(framework.hv_vcpu_set_sys_reg(id, register.id(), value), "hv_vcpu_set_sys_reg", register);
    }

    /** Reads a register of the interrupt controller's CPU interface that the running system may lack. */
    Optional<Long> iccIfThere(SystemRegister register) throws IOException {
        return ifThere(framework.hv_gic_get_icc_reg(id, register.id(), scratch), "hv_gic_get_icc_reg", register);
    }

    void setIcc(SystemRegister register, long value) throws IOException {
        check(framework.hv_gic_set_icc_reg(id, register.id(), value), "hv_gic_set_icc_reg", register);
    }

    boolean timerMasked() throws IOException {
        check(framework.hv_vcpu_get_vtimer_mask(id, scratch), "hv_vcpu_get_vtimer_mask", "timer");
        return flag();
    }

    void setTimerMasked(boolean masked) throws IOException {
        check(framework.hv_vcpu_set_vtimer_mask(id, masked), "hv_vcpu_set_vtimer_mask", "timer");
    }

    long timerOffset() throws IOException {
        check(framework.hv_vcpu_get_vtimer_offset(id, scratch), "hv_vcpu_get_vtimer_offset", "timer");
        return word();
    }

    void setTimerOffset(long offset) throws IOException {
        check(framework.hv_vcpu_set_vtimer_offset(id, offset), "hv_vcpu_set_vtimer_offset", "timer");
    }

    boolean line(InterruptLine line) throws IOException {
        check(framework.hv_vcpu_get_pending_interrupt(id, line.number(), scratch), "hv_vcpu_get_pending_interrupt",
                line);
        return flag();
    }

    void setLine(InterruptLine line, boolean high) throws IOException {
        check(framework.hv_vcpu_set_pending_interrupt(id, line.number(), high), "hv_vcpu_set_pending_interrupt",
                line);
    }

    private Optional<Long> ifThere(int result, String call, SystemRegister register) throws IOException {
        if (Calls.isAbsent(result)) {
            return Optional.empty();
        }
        Calls.check(result, call, register);
        return Optional.of(word());
    }

    private long word() {
        return scratch.get(ValueLayout.JAVA_LONG, 0);
    }

    private boolean flag() {
        return scratch.get(ValueLayout.JAVA_BYTE, 0) != 0;
    }

    /** Builds a message only on failure, because a pause reads hundreds of registers. */
    private void check(int result, String call, Object register) throws IOException {
        if (result != HvReturn.HV_SUCCESS.number()) {
            throw HypervisorException.of(result, call,
                    "(" + (register instanceof Integer ? "Q" : "") + register + " of " + name + ")");
        }
    }
}
