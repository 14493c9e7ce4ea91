package io.microsnap.machine;

import io.microsnap.core.Region;
import io.microsnap.machine.Assembler.Condition;
import io.microsnap.machine.Assembler.Operation;
import io.microsnap.machine.Assembler.Register;
import java.util.function.IntFunction;

/** A short program for one vCPU of a {@link SmallMachine}. Each keeps a counter that the machine can read. */
public final class GuestProgram {
    private final String name;
    private final IntFunction<byte[]> assemble;

    private GuestProgram(String name, IntFunction<byte[]> assemble) {
        this.name = name;
        this.assemble = assemble;
    }

    /** Returns a program that counts for ever, in a register and in memory, and never leaves the guest by itself. */
    public static GuestProgram count() {
        return new GuestProgram("count", counter -> new Assembler()
                .move(Register.EBP, 0)
                .label("count")
                .increment(Register.EBP)
                .store(counter, Register.EBP)
                .jump("count")
                .assemble());
    }

    /**
     * Returns a program that writes pages in a pattern, and checks its own memory on request ({@link
     * SmallMachine#selfCheck}).
     */
    public static GuestProgram touch(Touch touch) {
        return new GuestProgram("touch", touch::assemble);
    }

    /**
     * Returns a program that adds up all words of a range, rotating the sum by a bit before each, and finishes with the
     * result as its counter.
     *
     * @param range below 4 GiB, a multiple of four bytes
     */
    public static GuestProgram checksum(Region range) {
        return new GuestProgram("checksum", counter -> new Assembler()
                .move(Register.EAX, 0)
                .move(Register.EDI, (int) range.guestAddress())
                .move(Register.ECX, (int) (range.lengthBytes() / Integer.BYTES))
                .label("sum")
                .rotateLeft(Register.EAX, 1)
                .applyMemory(Operation.ADD, Register.EAX, Register.EDI)
                .apply(Operation.ADD, Register.EDI, Integer.BYTES)
                .decrement(Register.ECX)
                .jump(Condition.NOT_ZERO, "sum")
                .store(counter, Register.EAX)
                .label("finish")
                .out(GuestPorts.FINISHED)
                .jump("finish")
                .assemble());
    }

    /** Returns its name: {@code count}, {@code touch}, {@code checksum}. */
    public String name() {
        return name;
    }

    /** Returns its bytes, for a counter at this guest address; they run at any address. */
    byte[] assemble(int counter) {
        return assemble.apply(counter);
    }

    @Override
    public String toString() {
        return name;
    }
}
