package io.microsnap.core.internal.posix;

import java.lang.foreign.MemoryLayout;
import java.lang.foreign.MemoryLayout.PathElement;
import java.lang.foreign.MemorySegment;
import java.lang.foreign.SegmentAllocator;
import java.lang.foreign.StructLayout;
import java.lang.foreign.ValueLayout;
import java.lang.invoke.VarHandle;

/** glibc's {@code struct sigaction}, the same on x86-64 and AArch64, for {@link Posix#sigaction}. */
public final class SignalAction {
    /** The first signal that neither the kernel nor glibc uses. */
    public static final int SIGRTMIN = 34;
    /** The last real-time signal. */
    public static final int SIGRTMAX = 64;
    /** The default handler. */
    public static final long SIG_DFL = 0;
    /** Run the handler on the alternate stack where the thread has one. */
    public static final int SA_ONSTACK = 0x08000000;
    /** The struct, its members under their C names. */
    public static final StructLayout LAYOUT = MemoryLayout.structLayout(
            ValueLayout.JAVA_LONG.withName("sa_handler"),
            MemoryLayout.sequenceLayout(128 / Long.BYTES, ValueLayout.JAVA_LONG).withName("sa_mask"),
            ValueLayout.JAVA_INT.withName("sa_flags"),
            MemoryLayout.paddingLayout(Integer.BYTES),
            ValueLayout.JAVA_LONG.withName("sa_restorer")).withName("sigaction");

    private static final VarHandle HANDLER = LAYOUT.varHandle(PathElement.groupElement("sa_handler"));
    private static final VarHandle FLAGS = LAYOUT.varHandle(PathElement.groupElement("sa_flags"));

    private final MemorySegment segment;

    private SignalAction(MemorySegment segment) {
        this.segment = segment;
    }

    /** Returns a new struct: default handler, empty mask, no flags. */
    public static SignalAction in(SegmentAllocator allocator) {
        return new SignalAction(allocator.allocate(LAYOUT));
    }

    /** Returns the memory of the struct, for the call. */
    public MemorySegment segment() {
        return segment;
    }

    /** Returns the address of the handler, or {@link #SIG_DFL}. */
    public long handler() {
        return (long) HANDLER.get(segment, 0L);
    }

    /** Sets the address of the handler. It must be a function of libc: the JVM's code cannot run in a handler. */
    public SignalAction handler(long address) {
        HANDLER.set(segment, 0L, address);
        return this;
    }

    public int flags() {
        return (int) FLAGS.get(segment, 0L);
    }

    /** Sets the {@code SA_…} flags. */
    public SignalAction flags(int flags) {
        FLAGS.set(segment, 0L, flags);
        return this;
    }
}
