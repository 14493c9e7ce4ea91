package io.microsnap.hvf.internal.binding;

import io.microsnap.core.internal.posix.Constants;
import io.microsnap.core.internal.posix.Posix;
import java.lang.foreign.MemorySegment;
import java.lang.foreign.ValueLayout;
import java.util.HexFormat;

/**
 * Passes 16 bytes by value in the first vector register, for which the foreign function interface has no layout: two
 * machine instructions load the register from the third argument and jump to the function in the fourth.
 */
final class VectorCode {
    /** {@code ldr q0, [x2]} and {@code br x3}. */
    static final VectorCode AARCH64 = new VectorCode(HexFormat.of().parseHex("4000c03d60001fd6"));

    private final byte[] instructions;

    /** Takes the machine code, for one architecture. */
    VectorCode(byte... instructions) {
        this.instructions = instructions.clone();
    }

    byte[] bytes() {
        return instructions.clone();
    }

    /** Invalidates the processor's instruction cache for freshly written memory. */
    interface InstructionCache {
        void invalidate(MemorySegment code) throws Throwable;
    }

    /**
     * Writes the code to new memory and makes that executable. It stays until the process ends.
     *
     * @return the start of the code
     */
    @SuppressWarnings("restricted")
    MemorySegment load(Posix posix, InstructionCache cache) throws HypervisorException {
        Constants constants = posix.constants();
        long page = posix.getpagesize();
        long address = posix.mmap(0, page, constants.PROT_READ | constants.PROT_WRITE,
                constants.MAP_PRIVATE | constants.MAP_ANONYMOUS, -1, 0);
        if (address < 0) {
            throw HypervisorException.unavailable("no memory for machine code: mmap failed with "
                    + constants.errno(address), null);
        }
        MemorySegment memory = MemorySegment.ofAddress(address).reinterpret(page);
        MemorySegment.copy(instructions, 0, memory, ValueLayout.JAVA_BYTE, 0, instructions.length);
        int result = posix.mprotect(address, page, constants.PROT_READ | constants.PROT_EXEC);
        if (result < 0) {
            posix.munmap(address, page);
            throw HypervisorException.unavailable("memory cannot be made executable (mprotect failed with "
                    + constants.errno(result) + "); the java launcher needs the entitlement"
                    + " com.apple.security.cs.allow-unsigned-executable-memory, which JDKs have: keep it when signing"
                    + " again (docs/running-on-macos.md)", null);
        }
        MemorySegment code = memory.asSlice(0, instructions.length);
        try {
            cache.invalidate(code);
        } catch (Throwable thrown) {
            throw Downcall.unexpected(thrown);
        }
        return code;
    }
}
