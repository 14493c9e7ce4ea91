package io.microsnap.machine;

import java.io.ByteArrayOutputStream;
import java.util.HashMap;
import java.util.Map;

/** Assembles guest programs from the few instructions they use, in real mode, with 32-bit operands and addresses. */
final class Assembler {
    /** The general registers. */
    enum Register {
        EAX(0), ECX(1), EDX(2), EBX(3), EBP(5), ESI(6), EDI(7);

        private final int code;

        Register(int code) {
            this.code = code;
        }
    }

    /** Arithmetic, by the number that selects it in an instruction. */
    enum Operation {
        ADD(0), AND(4), SUB(5), XOR(6), CMP(7);

        private final int number;

        Operation(int number) {
            this.number = number;
        }
    }

    /** The conditions of jumps, by their codes. */
    enum Condition {
        BELOW(2), ABOVE_OR_EQUAL(3), ZERO(4), NOT_ZERO(5);

        private final int code;

        Condition(int code) {
            this.code = code;
        }
    }

    private static final int OPERAND_32 = 0x66;
    private static final int ADDRESS_32 = 0x67;
    private static final int REGISTERS = 3 << 6;
    private static final int ABSOLUTE = 5;

    private final ByteArrayOutputStream code = new ByteArrayOutputStream();
    private final Map<String, Integer> labels = new HashMap<>();
    private final Map<Integer, String> jumps = new HashMap<>();

    Assembler label(String name) {
        if (labels.put(name, code.size()) != null) {
            throw new IllegalArgumentException("two labels " + name);
        }
        return this;
    }

    Assembler move(Register to, int value) {
        return bytes(OPERAND_32, 0xb8 + to.code).word(value);
    }

    Assembler move(Register to, Register from) {
        return bytes(OPERAND_32, 0x89, REGISTERS | from.code << 3 | to.code);
    }

    /** Stores to an absolute address. */
    Assembler store(int address, Register from) {
        return bytes(ADDRESS_32, OPERAND_32, 0x89, from.code << 3 | ABSOLUTE).word(address);
    }

    /** Stores to the address in a register, which is neither ESP nor EBP. */
    Assembler store(Register at, Register from) {
        return bytes(ADDRESS_32, OPERAND_32, 0x89, from.code << 3 | at.code);
    }

    Assembler apply(Operation operation, Register to, int value) {
        return bytes(OPERAND_32, 0x81, REGISTERS | operation.number << 3 | to.code).word(value);
    }

    Assembler apply(Operation operation, Register to, Register from) {
        return bytes(OPERAND_32, operation.number << 3 | 1, REGISTERS | from.code << 3 | to.code);
    }

    /** Applies an operation to the word at the address in a register, which is neither ESP nor EBP. */
    Assembler applyMemory(Operation operation, Register to, Register at) {
        return bytes(ADDRESS_32, OPERAND_32, operation.number << 3 | 3, to.code << 3 | at.code);
    }

    Assembler multiply(Register to, int factor) {
        return bytes(OPERAND_32, 0x69, REGISTERS | to.code << 3 | to.code).word(factor);
    }

    Assembler shiftRight(Register register, int bits) {
        return bytes(OPERAND_32, 0xc1, REGISTERS | 5 << 3 | register.code, bits);
    }

    Assembler rotateLeft(Register register, int bits) {
        return bytes(OPERAND_32, 0xc1, REGISTERS | register.code, bits);
    }

    /** Sets the flags by the AND of a register and a value. */
    Assembler test(Register register, int value) {
        return bytes(OPERAND_32, 0xf7, REGISTERS | register.code).word(value);
    }

    Assembler increment(Register register) {
        return bytes(OPERAND_32, 0x40 + register.code);
    }

    Assembler decrement(Register register) {
        return bytes(OPERAND_32, 0x48 + register.code);
    }

    /** Reads 32 bits from a port into EAX; EDX is lost. */
    Assembler in(int port) {
        return move(Register.EDX, port).bytes(OPERAND_32, 0xed);
    }

    /** Writes EAX to a port; EDX is lost. */
    Assembler out(int port) {
        return move(Register.EDX, port).bytes(OPERAND_32, 0xef);
    }

    Assembler jump(String label) {
        return bytes(0xe9).target(label);
    }

    Assembler jump(Condition condition, String label) {
        return bytes(0x0f, 0x80 | condition.code).target(label);
    }

    /** Returns the program, with its jumps resolved. */
    byte[] assemble() {
        byte[] program = code.toByteArray();
        jumps.forEach((at, label) -> {
            Integer target = labels.get(label);
            if (target == null) {
                throw new IllegalStateException("no label " + label);
            }
            int distance = target - (at + Short.BYTES);
            program[at] = (byte) distance;
            program[at + 1] = (byte) (distance >> 8);
        });
        return program;
    }

    private Assembler target(String label) {
        jumps.put(code.size(), label);
        return bytes(0, 0);
    }

    private Assembler word(int value) {
        return bytes(value & 0xff, value >> 8 & 0xff, value >> 16 & 0xff, value >>> 24);
    }

    private Assembler bytes(int... values) {
        for (int value : values) {
            code.write(value);
        }
        return this;
    }
}
