package io.microsnap.kvm;

import io.microsnap.kvm.internal.abi.Request;
import io.microsnap.kvm.internal.abi.Structs;
import java.io.IOException;
import java.lang.foreign.Arena;
import java.lang.foreign.MemoryLayout;
import java.lang.foreign.MemoryLayout.PathElement;
import java.lang.foreign.MemorySegment;
import java.lang.foreign.StructLayout;
import java.lang.foreign.ValueLayout;

/** Gives a vCPU values that no reset leaves behind. */
final class StateScrambler {
    /** Where the third channel of the interval timer, which interrupts nobody, has its count and its mode. */
    static final int TIMER_COUNT = 48;
    static final int TIMER_MODE = TIMER_COUNT + 13;
    /** The first leaf of the processor's name, which is in every list and whose letters nothing looks at. */
    private static final int PROCESSOR_NAME = 0x8000_0002;

    private StateScrambler() {
    }

    static void scramble(Vcpu vcpu) throws IOException {
        int salt = vcpu.index() + 1;
        try (Arena arena = Arena.ofConfined()) {
            rename(vcpu, salt, arena);

            MemorySegment registers = arena.allocate(Structs.KVM_REGS);
            for (MemoryLayout register : Structs.KVM_REGS.memberLayouts()) {
                String name = register.name().orElseThrow();
                if (!name.equals("rflags")) {
                    put(registers, Structs.KVM_REGS, name, (name.hashCode() & 0xffffL) + salt);
                }
            }
            put(registers, Structs.KVM_REGS, "rflags", 0x0202);
            vcpu.call(Request.KVM_SET_REGS, registers);

            MemorySegment special = arena.allocate(Structs.KVM_SREGS);
            vcpu.call(Request.KVM_GET_SREGS, special);
            put(special, Structs.KVM_SREGS, "cr2", 0x1234_5000L + salt);
            put(special, Structs.KVM_SREGS, "cr3", 0x8000L * salt);
            vcpu.call(Request.KVM_SET_SREGS, special);

            MemorySegment debug = arena.allocate(Structs.KVM_DEBUGREGS);
            vcpu.call(Request.KVM_GET_DEBUGREGS, debug);
            debug.set(ValueLayout.JAVA_LONG, 8, 0x4000L + salt);
            vcpu.call(Request.KVM_SET_DEBUGREGS, debug);

            // The vector registers, and the bit that says they are in use.
            MemorySegment vectors = arena.allocate(Structs.KVM_XSAVE);
            vcpu.call(Request.KVM_GET_XSAVE, vectors);
            vectors.set(ValueLayout.JAVA_LONG, 160, 0x0102_0304_0506_0708L * salt);
            vectors.set(ValueLayout.JAVA_LONG, 512, vectors.get(ValueLayout.JAVA_LONG, 512) | 3);
            vcpu.call(Request.KVM_SET_XSAVE, vectors);

            // SYSENTER_CS, and the page attribute table.
            MemorySegment registersOfModel = arena.allocate(Structs.KVM_MSRS.byteSize() + 2 * 16, 8);
            registersOfModel.set(ValueLayout.JAVA_INT, 0, 2);
            registersOfModel.set(ValueLayout.JAVA_INT, 8, 0x174);
            registersOfModel.set(ValueLayout.JAVA_LONG, 16, 0x10L + salt);
            registersOfModel.set(ValueLayout.JAVA_INT, 24, 0x277);
            registersOfModel.set(ValueLayout.JAVA_LONG, 32, 0x0606_0606_0606_0606L);
            if (vcpu.call(Request.KVM_SET_MSRS, registersOfModel) != 2) {
                throw new AssertionError("these registers should have been set");
            }
        }
    }

    private static void rename(Vcpu vcpu, int salt, Arena arena) throws IOException {
        MemorySegment features = Cpuid.of(vcpu.descriptor(), arena);
        int renamed = 0;
        for (long at = Structs.KVM_CPUID2.byteSize(); at < features.byteSize();
                at += Structs.KVM_CPUID_ENTRY2.byteSize()) {
            if (features.get(ValueLayout.JAVA_INT, at) == PROCESSOR_NAME) {
                features.set(ValueLayout.JAVA_INT, at + 12, 0x4142_4300 + salt);
                renamed++;
            }
        }
        if (renamed != 1) {
            throw new AssertionError("the vCPU should be told a name of its processor, once");
        }
        vcpu.call(Request.KVM_SET_CPUID2, features);
    }

    /** The same for the chips of a VM that has them: what the firmware of a PC would set up. */
    static void scrambleChips(VirtualMachine vm) throws IOException {
        try (Arena arena = Arena.ofConfined()) {
            for (int number = 0; number < 3; number++) {
                MemorySegment chip = arena.allocate(Structs.KVM_IRQCHIP);
                chip.set(ValueLayout.JAVA_INT, 0, number);
                vm.call(Request.KVM_GET_IRQCHIP, chip);
                if (number < 2) {
                    // Which lines are masked, and the vector of the first.
                    chip.set(ValueLayout.JAVA_BYTE, 8 + 2, (byte) 0xb8);
                    chip.set(ValueLayout.JAVA_BYTE, 8 + 5, (byte) (0x20 + 8 * number));
                } else {
                    // The fifth line: masked, and its vector.
                    chip.set(ValueLayout.JAVA_LONG, 8 + 24 + 4 * 8, 0x1_0031L);
                }
                vm.call(Request.KVM_SET_IRQCHIP, chip);
            }
            MemorySegment timer = arena.allocate(Structs.KVM_PIT_STATE2);
            vm.call(Request.KVM_GET_PIT2, timer);
            timer.set(ValueLayout.JAVA_INT, TIMER_COUNT, 0x1234);
            timer.set(ValueLayout.JAVA_BYTE, TIMER_MODE, (byte) 2);
            vm.call(Request.KVM_SET_PIT2, timer);
        }
    }

    private static void put(MemorySegment struct, StructLayout layout, String member, long value) {
        struct.set(ValueLayout.JAVA_LONG, layout.byteOffset(PathElement.groupElement(member)), value);
    }
}
