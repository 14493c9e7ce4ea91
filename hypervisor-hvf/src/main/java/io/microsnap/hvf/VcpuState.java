package io.microsnap.hvf;

import io.microsnap.core.DamagedException;
import io.microsnap.core.MachineStateSection;
import java.io.IOException;
import java.lang.foreign.MemorySegment;
import java.nio.ByteBuffer;
import java.nio.ByteOrder;
import java.util.ArrayList;
import java.util.List;
import java.util.Map;
import java.util.Optional;
import java.util.Set;

/**
 * The state of one vCPU: read from it, decoded from sections, or loaded into another one, where every value is read
 * back. Methods that touch a vCPU run on its thread, as one task each.
 */
final class VcpuState {
    /** How many sections a vCPU has at most. */
    static final int SECTIONS = 7;

    private static final Register[] GENERAL = Register.values();
    private static final int VECTORS = 32;
    private static final int GENERAL_BYTES = GENERAL.length * Long.BYTES;
    private static final int VECTORS_BYTES = VECTORS * VcpuRegisters.VECTOR_BYTES;
    private static final int ON = 1;
    private static final int IRQ = 2;
    private static final int FIQ = 4;
    private static final int TIMER_MASKED = 8;
    /** The timer's condition, which is not state because it follows from the time. */
    private static final long TIMER_STATUS = 1 << 2;
    /** Registers that identify a processor come first, because the interrupt controller depends on them. */
    private static final List<SystemRegister> NAMED_SYSTEM = namedSystem();

    private final ByteBuffer general;
    private final ByteBuffer vectors;
    private final RegisterList system;
    private final RegisterList keys;
    private final RegisterList timers;
    private final Optional<RegisterList> icc;
    private final int flags;

    private VcpuState(ByteBuffer general, ByteBuffer vectors, Lists lists, int flags) {
        this.general = general;
        this.vectors = vectors;
        this.flags = flags;
        system = lists.system;
        keys = lists.keys;
        timers = lists.timers;
        icc = lists.icc;
    }

    private record Lists(RegisterList system, RegisterList keys, RegisterList timers, Optional<RegisterList> icc) {
    }

    private static List<SystemRegister> namedSystem() {
        List<SystemRegister> all = new ArrayList<>(List.of(SystemRegister.MPIDR_EL1));
        all.addAll(SystemRegister.SYSTEM);
        return List.copyOf(all);
    }

    /** Reads the state. On the vCPU's thread. */
    static VcpuState read(Vcpu vcpu, boolean interruptController, Set<String> omitted) throws IOException {
        VcpuRegisters registers = vcpu.registers();
        ByteBuffer general = ByteBuffer.allocate(GENERAL_BYTES).order(ByteOrder.LITTLE_ENDIAN);
        for (Register register : GENERAL) {
            general.putLong(registers.get(register));
        }
        ByteBuffer vectors = ByteBuffer.allocate(VECTORS_BYTES);
        for (int number = 0; number < VECTORS; number++) {
            registers.vector(number, vector(vectors, number));
        }
        RegisterList.Reader reader = registers::systemIfThere;
        RegisterList system = RegisterList.read(NAMED_SYSTEM, reader, omitted);
        RegisterList keys = RegisterList.read(SystemRegister.KEYS, reader, omitted);
        RegisterList timers = RegisterList.read(SystemRegister.TIMERS, register -> reader.read(register)
                .map(value -> withoutStatus(register, value)), omitted);
        Optional<RegisterList> icc = interruptController
                ? Optional.of(RegisterList.read(SystemRegister.ICC, registers::iccIfThere, omitted))
                : Optional.empty();
        int flags = (vcpu.isOn() ? ON : 0) | (vcpu.line(InterruptLine.IRQ) ? IRQ : 0)
                | (vcpu.line(InterruptLine.FIQ) ? FIQ : 0) | (registers.timerMasked() ? TIMER_MASKED : 0);
        return new VcpuState(general.flip(), vectors, new Lists(system, keys, timers, icc), flags);
    }

    private static long withoutStatus(SystemRegister register, long value) {
        boolean control = register.equals(SystemRegister.CNTV_CTL_EL0) || register.equals(SystemRegister.CNTP_CTL_EL0);
        return control ? value & ~TIMER_STATUS : value;
    }

    private static MemorySegment vector(ByteBuffer vectors, int number) {
        return MemorySegment.ofBuffer(vectors.duplicate().clear())
                .asSlice((long) number * VcpuRegisters.VECTOR_BYTES, VcpuRegisters.VECTOR_BYTES);
    }

    /** Makes sections whose names begin with the prefix. */
    void addSections(String prefix, List<MachineStateSection> sections) {
        sections.add(new MachineStateSection(prefix + "registers", general.duplicate()));
        sections.add(new MachineStateSection(prefix + "vectors", vectors.duplicate()));
        sections.add(new MachineStateSection(prefix + "system", system.encode()));
        sections.add(new MachineStateSection(prefix + "keys", keys.encode()));
        sections.add(new MachineStateSection(prefix + "timers", timers.encode()));
        if (icc.isPresent()) {
            sections.add(new MachineStateSection(prefix + "icc", icc.get().encode()));
        }
        sections.add(new MachineStateSection(prefix + "run",
                ByteBuffer.allocate(Integer.BYTES).order(ByteOrder.LITTLE_ENDIAN).putInt(0, flags)));
    }

    /**
     * Removes this vCPU's sections from the given ones and decodes them; refuses any that {@link #addSections} would
     * not make.
     */
    static VcpuState decode(String prefix, boolean interruptController, Map<String, MachineStateSection> sections)
            throws DamagedException {
        ByteBuffer general = exactly(take(prefix + "registers", sections), GENERAL_BYTES);
        ByteBuffer vectors = exactly(take(prefix + "vectors", sections), VECTORS_BYTES);
        RegisterList system = RegisterList.decode(take(prefix + "system", sections), NAMED_SYSTEM);
        RegisterList keys = RegisterList.decode(take(prefix + "keys", sections), SystemRegister.KEYS);
        RegisterList timers = RegisterList.decode(take(prefix + "timers", sections), SystemRegister.TIMERS);
        Optional<RegisterList> icc = interruptController
                ? Optional.of(RegisterList.decode(take(prefix + "icc", sections), SystemRegister.ICC))
                : Optional.empty();
        int flags = exactly(take(prefix + "run", sections), Integer.BYTES).getInt(0);
        if ((flags & ~(ON | IRQ | FIQ | TIMER_MASKED)) != 0) {
            throw new DamagedException("machine state section " + prefix + "run has unknown flags 0x"
                    + Integer.toHexString(flags));
        }
        return new VcpuState(general, vectors, new Lists(system, keys, timers, icc), flags);
    }

    private static MachineStateSection take(String name, Map<String, MachineStateSection> sections)
            throws DamagedException {
        MachineStateSection section = sections.remove(name);
        if (section == null) {
            throw new DamagedException("machine state section " + name + " is missing");
        }
        return section;
    }

    private static ByteBuffer exactly(MachineStateSection section, int bytes) throws DamagedException {
        ByteBuffer payload = section.payload().order(ByteOrder.LITTLE_ENDIAN);
        if (payload.remaining() != bytes) {
            throw new DamagedException("machine state section " + section.name() + " has " + payload.remaining()
                    + " bytes, " + bytes + " expected");
        }
        return payload;
    }

    /** Loads the registers that identify the processor. Call this on the vCPU's thread. */
    void loadName(Vcpu vcpu) throws IOException {
        Optional<Long> name = system.value(SystemRegister.MPIDR_EL1);
        if (name.isPresent()) {
            vcpu.registers().setSystem(SystemRegister.MPIDR_EL1, name.get());
        }
    }

    /** Loads registers, then the timer, then the interrupt controller's CPU interface. On the vCPU's thread. */
    void load(Vcpu vcpu, long timerOffset) throws IOException {
        List<String> unlike = new ArrayList<>();
        VcpuRegisters registers = vcpu.registers();
        for (Register register : GENERAL) {
            long value = general.getLong(register.number() * Long.BYTES);
            registers.set(register, value);
            compare(vcpu, register, value, registers.get(register), unlike);
        }
        loadVectors(vcpu, unlike);
        RegisterList.Writer writer = (register, value) -> {
            registers.setSystem(register, value);
            compare(vcpu, register, value, withoutStatus(register, registers.system(register)), unlike);
        };
        system.forEach(writer);
        keys.forEach(writer);
        registers.setTimerOffset(timerOffset);
        compare(vcpu, "timer offset", timerOffset, registers.timerOffset(), unlike);
        boolean masked = (flags & TIMER_MASKED) != 0;
        registers.setTimerMasked(masked);
        compare(vcpu, "timer mask", masked, registers.timerMasked(), unlike);
        timers.forEach(writer);
        if (icc.isPresent()) {
            icc.get().forEach((register, value) -> {
                registers.setIcc(register, value);
                compare(vcpu, register, value, registers.iccIfThere(register).orElse(0L), unlike);
            });
        }
        loadLine(vcpu, InterruptLine.IRQ, (flags & IRQ) != 0, unlike);
        loadLine(vcpu, InterruptLine.FIQ, (flags & FIQ) != 0, unlike);
        if (!unlike.isEmpty()) {
            throw MachineState.incompatible(unlike);
        }
        if ((flags & ON) != 0) {
            vcpu.start();
        }
    }

    private void loadVectors(Vcpu vcpu, List<String> unlike) throws IOException {
        MemorySegment back = MemorySegment.ofArray(new byte[VcpuRegisters.VECTOR_BYTES]);
        for (int number = 0; number < VECTORS; number++) {
            MemorySegment value = vector(vectors, number);
            vcpu.registers().setVector(number, value);
            vcpu.registers().vector(number, back);
            if (value.mismatch(back) >= 0) {
                unlike.add("Q" + number + " of vCPU " + vcpu.index() + " does not keep its value");
            }
        }
    }

    private static void loadLine(Vcpu vcpu, InterruptLine line, boolean high, List<String> unlike) throws IOException {
        vcpu.setLine(line, high);
        vcpu.registers().setLine(line, high);
        compare(vcpu, line, high, vcpu.registers().line(line), unlike);
    }

    private static void compare(Vcpu vcpu, Object what, boolean set, boolean got, List<String> unlike) {
        compare(vcpu, what, set ? 1 : 0, got ? 1 : 0, unlike);
    }

    private static void compare(Vcpu vcpu, Object what, long set, long got, List<String> unlike) {
        if (set != got) {
            unlike.add(what + " of vCPU " + vcpu.index() + " was set to 0x" + Long.toHexString(set) + " and reads 0x"
                    + Long.toHexString(got));
        }
    }
}
