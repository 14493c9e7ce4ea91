package io.microsnap.core.internal.posix;

import java.lang.foreign.AddressLayout;
import java.lang.foreign.FunctionDescriptor;
import java.lang.foreign.Linker;
import java.lang.foreign.MemoryLayout;
import java.lang.foreign.MemorySegment;
import java.lang.foreign.SymbolLookup;
import java.lang.foreign.ValueLayout;
import java.lang.invoke.MethodHandle;
import java.util.ArrayList;
import java.util.List;

/**
 * A linked C function. It is a record because the JIT compiler treats a record's fields as constants: a call through a
 * static final record reaches its handle at no cost.
 *
 * @param name its symbol
 * @param named the number of fixed arguments if the function is variadic, else -1: macOS passes variadic arguments
 * differently
 * @param capturesErrno whether the handle's first argument is the segment that receives errno
 * @param function its arguments and result
 * @param handle the function
 */
record Downcall(String name, int named, boolean capturesErrno, FunctionDescriptor function, MethodHandle handle) {
    /** The C library of this process. */
    static final SymbolLookup LIBC = Linker.nativeLinker().defaultLookup();

    static final ValueLayout.OfInt INT = ValueLayout.JAVA_INT;
    static final ValueLayout.OfLong LONG = ValueLayout.JAVA_LONG;
    /** An unsigned 16-bit argument. A {@code short} would arrive sign-extended. */
    static final ValueLayout.OfChar UNSIGNED_SHORT = ValueLayout.JAVA_CHAR;
    static final AddressLayout POINTER = ValueLayout.ADDRESS;

    private static final int NOT_VARIADIC = -1;

    /** Returns a function that leaves its error in errno. */
    static Downcall of(SymbolLookup library, String name, MemoryLayout result, MemoryLayout... arguments) {
        return link(library, name, NOT_VARIADIC, true, FunctionDescriptor.of(result, arguments));
    }

    /** Returns a variadic function that leaves its error in errno. */
    static Downcall variadic(
            SymbolLookup library, String name, int named, MemoryLayout result, MemoryLayout... arguments) {
        return link(library, name, named, true, FunctionDescriptor.of(result, arguments));
    }

    /** Returns a function that sets no errno. */
    static Downcall withoutErrno(SymbolLookup library, String name, MemoryLayout result, MemoryLayout... arguments) {
        return link(library, name, NOT_VARIADIC, false, FunctionDescriptor.of(result, arguments));
    }

    /** Returns the linker options. */
    List<Linker.Option> options() {
        return options(named, capturesErrno);
    }

    private static List<Linker.Option> options(int named, boolean capturesErrno) {
        List<Linker.Option> options = new ArrayList<>();
        if (named != NOT_VARIADIC) {
            options.add(Linker.Option.firstVariadicArg(named));
        }
        if (capturesErrno) {
            options.add(Linker.Option.captureCallState("errno"));
        }
        return options;
    }

    @SuppressWarnings("restricted")
    private static Downcall link(
            SymbolLookup library, String name, int named, boolean capturesErrno, FunctionDescriptor function) {
        MemorySegment symbol = library.find(name).orElseThrow(() -> new UnsupportedOperationException(
                "the C library of this system has no " + name + "; on Linux glibc 2.30 or later is needed"));
        try {
            MethodHandle handle = Linker.nativeLinker().downcallHandle(symbol, function,
                    options(named, capturesErrno).toArray(Linker.Option[]::new));
            return new Downcall(name, named, capturesErrno, function, handle);
        } catch (IllegalCallerException denied) {
            throw new UnsupportedOperationException("microsnap makes system calls through the foreign function"
                    + " interface, which this JVM denies; start it with --enable-native-access=" + flagValue(), denied);
        }
    }

    /** Returns the flag's value: the name of this class's module. */
    private static String flagValue() {
        Module module = Downcall.class.getModule();
        return module.isNamed() ? module.getName() : "ALL-UNNAMED";
    }

    /**
     * Returns the exception for what a method handle threw. libc throws nothing, so it is a mistake of the caller (a
     * closed segment) or of this code, or the reason why linking failed.
     */
    static RuntimeException unexpected(Throwable thrown) {
        if (thrown instanceof RuntimeException exception) {
            return exception;
        }
        if (thrown instanceof ExceptionInInitializerError unlinked
                && unlinked.getCause() instanceof UnsupportedOperationException reason) {
            return reason;
        }
        if (thrown instanceof Error error) {
            throw error;
        }
        return new IllegalStateException(thrown);
    }
}
