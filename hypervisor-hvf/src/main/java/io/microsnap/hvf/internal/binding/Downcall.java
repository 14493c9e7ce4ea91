package io.microsnap.hvf.internal.binding;

import java.lang.foreign.AddressLayout;
import java.lang.foreign.FunctionDescriptor;
import java.lang.foreign.Linker;
import java.lang.foreign.MemoryLayout;
import java.lang.foreign.MemorySegment;
import java.lang.foreign.SymbolLookup;
import java.lang.foreign.ValueLayout;
import java.lang.invoke.MethodHandle;
import java.lang.invoke.MethodHandles;
import java.util.Optional;

/** Links one C function at its first call: linking generates machine code, and no program calls all functions. */
final class Downcall {
    static final ValueLayout.OfInt INT = ValueLayout.JAVA_INT;
    static final ValueLayout.OfLong LONG = ValueLayout.JAVA_LONG;
    static final ValueLayout.OfBoolean BOOLEAN = ValueLayout.JAVA_BOOLEAN;
    /** An unsigned 16-bit argument. A {@code short} would arrive sign-extended, and identifiers reach 0xffff. */
    static final ValueLayout.OfChar UNSIGNED_SHORT = ValueLayout.JAVA_CHAR;
    static final AddressLayout POINTER = ValueLayout.ADDRESS;

    private final String name;
    private final FunctionDescriptor function;
    private final Optional<MemorySegment> symbol;
    private volatile MethodHandle handle;

    private Downcall(String name, FunctionDescriptor function, Optional<MemorySegment> symbol) {
        this.name = name;
        this.function = function;
        this.symbol = symbol;
    }

    /** Looks up a function that every supported macOS has. */
    static Downcall required(SymbolLookup library, String name, MemoryLayout result, MemoryLayout... arguments)
            throws HypervisorException {
        Downcall call = optional(library, name, result, arguments);
        if (!call.isPresent()) {
            throw HypervisorException.unavailable("it has no " + name + "; macOS 11 on Apple silicon is the oldest"
                    + " that microsnap can use", null);
        }
        return call;
    }

    /** Looks up a function of a later macOS; if it is missing, calls return {@code HV_UNSUPPORTED}. */
    static Downcall optional(SymbolLookup library, String name, MemoryLayout result, MemoryLayout... arguments) {
        return new Downcall(name, FunctionDescriptor.of(result, arguments), library.find(name));
    }

    /** Looks up a function that returns nothing. */
    static Downcall ofVoid(SymbolLookup library, String name, MemoryLayout... arguments) throws HypervisorException {
        Optional<MemorySegment> symbol = library.find(name);
        if (symbol.isEmpty()) {
            throw HypervisorException.unavailable("this system has no " + name, null);
        }
        return new Downcall(name, FunctionDescriptor.ofVoid(arguments), symbol);
    }

    /** Links machine code that this process wrote. */
    static Downcall at(MemorySegment code, String name, MemoryLayout result, MemoryLayout... arguments) {
        return new Downcall(name, FunctionDescriptor.of(result, arguments), Optional.of(code));
    }

    String name() {
        return name;
    }

    FunctionDescriptor function() {
        return function;
    }

    boolean isPresent() {
        return symbol.isPresent();
    }

    /** Returns the address of the function; {@link MemorySegment#NULL} if the system lacks it. */
    MemorySegment address() {
        return symbol.orElse(MemorySegment.NULL);
    }

    MethodHandle handle() {
        MethodHandle linked = handle;
        if (linked == null) {
            linked = symbol.isPresent() ? link(symbol.get()) : unsupported();
            handle = linked;
        }
        return linked;
    }

    @SuppressWarnings("restricted")
    private MethodHandle link(MemorySegment address) {
        try {
            return Linker.nativeLinker().downcallHandle(address, function);
        } catch (IllegalCallerException denied) {
            throw new UnsupportedOperationException("microsnap calls Hypervisor.framework through the foreign function"
                    + " interface, which this JVM denies; start it with --enable-native-access=ALL-UNNAMED", denied);
        }
    }

    private MethodHandle unsupported() {
        Class<?> type = function.toMethodType().returnType();
        MethodHandle answer = type == int.class
                ? MethodHandles.constant(int.class, HvReturn.HV_UNSUPPORTED.number())
                : MethodHandles.constant(MemorySegment.class, MemorySegment.NULL);
        return MethodHandles.dropArguments(answer, 0, function.toMethodType().parameterList());
    }

    /**
     * Returns the exception for what a method handle threw. C throws nothing, so it is a mistake of the caller (a
     * closed segment) or of this code.
     */
    static RuntimeException unexpected(Throwable thrown) {
        if (thrown instanceof RuntimeException exception) {
            return exception;
        }
        if (thrown instanceof Error error) {
            throw error;
        }
        return new IllegalStateException(thrown);
    }
}
