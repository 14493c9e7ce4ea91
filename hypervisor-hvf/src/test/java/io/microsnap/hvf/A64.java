package io.microsnap.hvf;

import java.lang.foreign.MemorySegment;
import java.lang.foreign.ValueLayout;
import java.util.ArrayList;
import java.util.HashMap;
import java.util.List;
import java.util.Map;

/** Assembles guest programs of a few AArch64 instructions, which both the processor and the stand-in know. */
public final class A64 {
    private final List<Integer> code = new ArrayList<>();
    private final Map<String, Integer> labels = new HashMap<>();

    /** Names the next instruction, for jumps that come later. */
    public A64 label(String name) {
        labels.put(name, code.size());
        return this;
    }

    /** Loads any value. */
    public A64 move(int target, long value) {
        add(0xd280_0000 | (int) (value & 0xffff) << 5 | target);
        for (int shift = 1; shift < 4; shift++) {
            int part = (int) ((value >>> (16 * shift)) & 0xffff);
            if (part != 0) {
                add(0xf280_0000 | shift << 21 | part << 5 | target);
            }
        }
        return this;
    }

    /** Stores 64 bits at the address in a register and an offset. */
    public A64 store(int value, int address, int offset) {
        return add(0xf900_0000 | (offset / 8) << 10 | address << 5 | value);
    }

    /** Stores 32 bits. */
    public A64 storeWord(int value, int address) {
        return add(0xb900_0000 | address << 5 | value);
    }

    /** Stores a pair of 64 bits: its abort has no valid description of the registers. */
    public A64 storePair(int first, int second, int address) {
        return add(0xa900_0000 | second << 10 | address << 5 | first);
    }

    /** Invalidates the line of the data cache. */
    public A64 invalidateLine(int address) {
        return add(0xd508_7620 | address);
    }

    public A64 load(int target, int address, int offset) {
        return add(0xf940_0000 | (offset / 8) << 10 | address << 5 | target);
    }

    public A64 add(int target, int left, long immediate) {
        return add(0x9100_0000 | (int) immediate << 10 | left << 5 | target);
    }

    public A64 addRegister(int target, int left, int right) {
        return add(0x8b00_0000 | right << 16 | left << 5 | target);
    }

    public A64 subtract(int target, int left, int immediate) {
        return add(0xd100_0000 | immediate << 10 | left << 5 | target);
    }

    public A64 and(int target, int left, int right) {
        return add(0x8a00_0000 | right << 16 | left << 5 | target);
    }

    public A64 exclusiveOr(int target, int left, int right) {
        return add(0xca00_0000 | right << 16 | left << 5 | target);
    }

    public A64 multiply(int target, int left, int right) {
        return add(0x9b00_7c00 | right << 16 | left << 5 | target);
    }

    public A64 shiftRight(int target, int source, int bits) {
        return add(0xd340_fc00 | bits << 16 | source << 5 | target);
    }

    /** Jumps to the address in a register. */
    public A64 jumpTo(int register) {
        return add(0xd61f_0000 | register << 5);
    }

    public A64 jump(String label) {
        return add(0x1400_0000 | ((labels.get(label) - code.size()) & 0x3ff_ffff));
    }

    public A64 jumpIfNotZero(int register, String label) {
        return add(0xb500_0000 | ((labels.get(label) - code.size()) & 0x7ffff) << 5 | register);
    }

    /** Asks the VM manager. */
    public A64 call(int number) {
        return add(0xd400_0002 | number << 5);
    }

    private A64 add(int instruction) {
        code.add(instruction);
        return this;
    }

    /** Writes the program to memory. */
    public void writeTo(MemorySegment memory, long offset) {
        for (int index = 0; index < code.size(); index++) {
            memory.set(ValueLayout.JAVA_INT, offset + 4L * index, code.get(index));
        }
    }
}
