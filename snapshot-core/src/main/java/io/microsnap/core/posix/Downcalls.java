package io.microsnap.core.posix;

import java.lang.foreign.Arena;
import java.lang.foreign.FunctionDescriptor;
import java.lang.foreign.Linker;
import java.lang.foreign.MemoryLayout;
import java.lang.foreign.MemorySegment;
import java.lang.foreign.StructLayout;
import java.lang.foreign.ValueLayout;
import java.lang.invoke.MethodHandle;
import java.lang.invoke.VarHandle;

/** Links functions of libc, and carries errno out of them without state that threads share. */
final class Downcalls {
    private static final Linker LINKER = Linker.nativeLinker();
    private static final StructLayout CAPTURE = Linker.Option.captureStateLayout();
    private static final VarHandle ERRNO = CAPTURE.varHandle(MemoryLayout.PathElement.groupElement("errno"));
    // One small block a thread, freed with the thread: allocating it for every call would cost more than the call.
    private static final ThreadLocal<MemorySegment> ERRNO_OF_THREAD =
            ThreadLocal.withInitial(() -> Arena.ofAuto().allocate(CAPTURE));

    private Downcalls() {
    }

    /** A function whose errno is captured: the handle's first argument is {@link #errnoCapture()}. */
    static MethodHandle capturing(String name, FunctionDescriptor function, Linker.Option... options) {
        Linker.Option[] all = new Linker.Option[options.length + 1];
        System.arraycopy(options, 0, all, 0, options.length);
        all[options.length] = Linker.Option.captureCallState("errno");
        return link(name, function, all);
    }

    /** A variadic function with this many named arguments, errno captured. */
    static MethodHandle variadic(String name, int named, FunctionDescriptor function) {
        return capturing(name, function, Linker.Option.firstVariadicArg(named));
    }

    /** A function that sets no errno. */
    static MethodHandle plain(String name, FunctionDescriptor function) {
        return link(name, function);
    }

    static MemorySegment errnoCapture() {
        return ERRNO_OF_THREAD.get();
    }

    /** The raw result: the function's own, or {@code -errno} where that is -1. */
    static long result(long value, MemorySegment capture) {
        return value == -1 ? -(int) ERRNO.get(capture, 0L) : value;
    }

    static int result(int value, MemorySegment capture) {
        return value == -1 ? -(int) ERRNO.get(capture, 0L) : value;
    }

    /** What a method handle threw: nothing that libc does, so a mistake of the caller (closed segment) or of ours. */
    static RuntimeException unexpected(Throwable thrown) {
        if (thrown instanceof RuntimeException exception) {
            return exception;
        }
        if (thrown instanceof Error error) {
            throw error;
        }
        return new IllegalStateException(thrown);
    }

    static MemorySegment string(Arena arena, String text) {
        if (text.indexOf('\0') >= 0) {
            throw new IllegalArgumentException("a path contains NUL: " + text.replace('\0', '?'));
        }
        return arena.allocateFrom(text);
    }

    /** Where a function of libc is, or zero. */
    static long address(String name) {
        return LINKER.defaultLookup().find(name).map(MemorySegment::address).orElse(0L);
    }

    static FunctionDescriptor function(MemoryLayout result, MemoryLayout... arguments) {
        return FunctionDescriptor.of(result, arguments);
    }

    @SuppressWarnings("restricted")
    private static MethodHandle link(String name, FunctionDescriptor function, Linker.Option... options) {
        MemorySegment symbol = LINKER.defaultLookup().find(name)
                .orElseThrow(() -> new UnsupportedOperationException("libc has no function " + name));
        return LINKER.downcallHandle(symbol, function, options);
    }

    static final ValueLayout.OfInt INT = ValueLayout.JAVA_INT;
    static final ValueLayout.OfLong LONG = ValueLayout.JAVA_LONG;
    static final java.lang.foreign.AddressLayout POINTER = ValueLayout.ADDRESS;
}
