package io.microsnap.core.internal.posix;

import java.lang.foreign.Arena;
import java.lang.foreign.Linker;
import java.lang.foreign.MemoryLayout;
import java.lang.foreign.MemorySegment;
import java.lang.foreign.StructLayout;
import java.lang.invoke.VarHandle;

/**
 * A small block of native memory for each thread, freed with the thread: errno, and room for the structs of one call.
 * Allocating it for each call would cost more than many calls do.
 */
final class ThreadMemory {
    private static final StructLayout CAPTURE = Linker.Option.captureStateLayout();
    private static final VarHandle ERRNO = CAPTURE.varHandle(MemoryLayout.PathElement.groupElement("errno"));
    private static final long SCRATCH_BYTES = 256;
    private static final ThreadLocal<ThreadMemory> OF_THREAD = ThreadLocal.withInitial(ThreadMemory::new);

    private final MemorySegment errno;
    private final MemorySegment scratch;

    private ThreadMemory() {
        Arena arena = Arena.ofAuto();
        errno = arena.allocate(CAPTURE);
        scratch = arena.allocate(SCRATCH_BYTES, Long.BYTES);
    }

    /** Returns the segment that receives errno: the first argument of every handle that captures it. */
    static MemorySegment errno() {
        return OF_THREAD.get().errno;
    }

    /** Returns room for the structs of the current call: 256 bytes, 8-aligned, not cleared. */
    static MemorySegment scratch() {
        return OF_THREAD.get().scratch;
    }

    /** Returns the raw result: the function's own, or {@code -errno} where that is -1. */
    static long result(long value, MemorySegment errno) {
        return value == -1 ? -(int) ERRNO.get(errno, 0L) : value;
    }

    static int result(int value, MemorySegment errno) {
        return value == -1 ? -(int) ERRNO.get(errno, 0L) : value;
    }
}
