package io.microsnap.machine;

import io.microsnap.core.Region;
import io.microsnap.machine.Assembler.Condition;
import io.microsnap.machine.Assembler.Operation;
import io.microsnap.machine.Assembler.Register;
import java.util.function.LongConsumer;

/**
 * A guest program's work on memory: it writes one word in each page that the pattern names, in rounds, and keeps the
 * sum of all those words, so that it can check its memory by itself. It starts with memory of zeros.
 *
 * @param range the guest memory it works on, below 4 GiB; whole pages of 4 KiB
 * @param pattern which pages, in which order
 * @param seed decides where the order starts, and which word of each page is written
 * @param pagesPerRound how many pages it touches before it asks the machine how to continue: rounded up to whole runs
 * @param rounds after how many rounds it finishes; zero for never
 */
public record Touch(Region range, Pattern pattern, int seed, int pagesPerRound, int rounds) {
    static final int PAGE_BYTES = 4096;
    // A linear congruence of full period over any power of two, as its constants are 1 modulo 4 and odd.
    private static final int FACTOR = 0x915f_77f5;
    private static final int SUMMAND = 0x6b43_a9b5;
    private static final int HOT_EVERY = 7;
    private static final int HOT_SHIFT = 4;

    /** Refuses ranges that the program cannot reach and rounds that would never end. */
    public Touch {
        if (range.end() > 1L << 32) {
            throw new IllegalArgumentException(range + " reaches beyond 4 GiB, where guest programs cannot; use an"
                    + " alias of that memory (SmallMachine.reach)");
        }
        if (range.guestAddress() % PAGE_BYTES != 0 || range.lengthBytes() % PAGE_BYTES != 0
                || range.lengthBytes() < (long) pattern.runPages() * PAGE_BYTES) {
            throw new IllegalArgumentException(range + " is not made of whole pages, or too short for " + pattern);
        }
        if (pagesPerRound <= 0 || rounds < 0) {
            throw new IllegalArgumentException(pagesPerRound + " pages a round, " + rounds + " rounds");
        }
    }

    /** Touches this part of the range in each round, at least a page, for ever. */
    public static Touch fraction(Region range, Pattern pattern, int seed, double fraction) {
        return new Touch(range, pattern, seed,
                (int) Math.max(1, Math.round(fraction * range.lengthBytes() / PAGE_BYTES)), 0);
    }

    private int units() {
        return (int) (range.lengthBytes() / PAGE_BYTES / pattern.runPages());
    }

    private int unitsPerRound() {
        return (pagesPerRound + pattern.runPages() - 1) / pattern.runPages();
    }

    private int mask() {
        return Integer.highestOneBit(Math.max(1, units() - 1)) * 2 - 1;
    }

    private int shift() {
        return Math.max(1, Integer.bitCount(mask()) / 2);
    }

    private int start() {
        return pattern == Pattern.SEQUENTIAL ? Integer.remainderUnsigned(seed, units()) : seed & mask();
    }

    private int wordAddress() {
        return (int) range.guestAddress() + ((seed >>> 16) & (PAGE_BYTES / Integer.BYTES - 1)) * Integer.BYTES;
    }

    /** Returns how many pages the guest touches in a round. */
    public int touchesPerRound() {
        return unitsPerRound() * pattern.runPages();
    }

    /** Names, by guest address, the pages that the guest touches, in order from its start. */
    public void pages(long touches, LongConsumer page) {
        int unit = start();
        for (long touch = 0; touch < touches; touch += pattern.runPages()) {
            int place;
            if (pattern == Pattern.SEQUENTIAL) {
                unit = unit + 1 == units() ? 0 : unit + 1;
                place = unit;
            } else {
                do {
                    unit = unit * FACTOR + SUMMAND & mask();
                    place = unit ^ unit >>> shift();
                } while (place >= units());
            }
            if (pattern == Pattern.HOT_SET && (touch & HOT_EVERY) != 0) {
                place >>>= HOT_SHIFT;
            }
            for (int inRun = 0; inRun < pattern.runPages() && touch + inRun < touches; inRun++) {
                page.accept(range.guestAddress() + ((long) place * pattern.runPages() + inRun) * PAGE_BYTES);
            }
        }
    }

    /** ESI: the order's state; EBX: the sum; EBP: touches so far; ECX: runs left in this round; EDI: the address. */
    byte[] assemble(int counter) {
        Assembler program = new Assembler()
                .move(Register.ESI, start())
                .move(Register.EBX, 0)
                .move(Register.EBP, 0)
                .label("round")
                .move(Register.ECX, unitsPerRound())
                .label("touch");
        if (pattern == Pattern.SEQUENTIAL) {
            program.increment(Register.ESI)
                    .apply(Operation.CMP, Register.ESI, units())
                    .jump(Condition.BELOW, "inside")
                    .move(Register.ESI, 0)
                    .label("inside")
                    .move(Register.EAX, Register.ESI);
        } else {
            program.multiply(Register.ESI, FACTOR)
                    .apply(Operation.ADD, Register.ESI, SUMMAND)
                    .apply(Operation.AND, Register.ESI, mask())
                    .move(Register.EAX, Register.ESI)
                    .shiftRight(Register.EAX, shift())
                    .apply(Operation.XOR, Register.EAX, Register.ESI)
                    .apply(Operation.CMP, Register.EAX, units())
                    .jump(Condition.ABOVE_OR_EQUAL, "touch");
        }
        if (pattern == Pattern.HOT_SET) {
            program.test(Register.EBP, HOT_EVERY)
                    .jump(Condition.ZERO, "anywhere")
                    .shiftRight(Register.EAX, HOT_SHIFT)
                    .label("anywhere");
        }
        program.multiply(Register.EAX, pattern.runPages() * PAGE_BYTES)
                .apply(Operation.ADD, Register.EAX, wordAddress())
                .move(Register.EDI, Register.EAX)
                .move(Register.EDX, pattern.runPages())
                .label("page")
                .increment(Register.EBP)
                .store(counter, Register.EBP)
                .applyMemory(Operation.SUB, Register.EBX, Register.EDI)
                .store(Register.EDI, Register.EBP)
                .apply(Operation.ADD, Register.EBX, Register.EBP)
                .apply(Operation.ADD, Register.EDI, PAGE_BYTES)
                .decrement(Register.EDX)
                .jump(Condition.NOT_ZERO, "page")
                .decrement(Register.ECX)
                .jump(Condition.NOT_ZERO, "touch");
        if (rounds > 0) {
            program.apply(Operation.CMP, Register.EBP, Math.multiplyExact(rounds, touchesPerRound()))
                    .jump(Condition.BELOW, "ask")
                    .label("finish")
                    .out(GuestPorts.FINISHED)
                    .jump("finish");
        }
        program.label("ask")
                .in(GuestPorts.WHAT_NEXT)
                .apply(Operation.CMP, Register.EAX, GuestPorts.CHECK)
                .jump(Condition.NOT_ZERO, "round");
        sum(program, wordAddress(), (int) (range.lengthBytes() / PAGE_BYTES), PAGE_BYTES)
                .out(GuestPorts.COUNTED)
                .move(Register.EAX, Register.EBX)
                .out(GuestPorts.EXPECTED)
                .jump("ask");
        return program.assemble();
    }

    /** Returns the sum of words at equal distances, in EAX; ECX and EDI are lost. */
    private static Assembler sum(Assembler program, int first, int count, int distance) {
        return program.move(Register.EAX, 0)
                .move(Register.EDI, first)
                .move(Register.ECX, count)
                .label("sum")
                .applyMemory(Operation.ADD, Register.EAX, Register.EDI)
                .apply(Operation.ADD, Register.EDI, distance)
                .decrement(Register.ECX)
                .jump(Condition.NOT_ZERO, "sum");
    }
}
