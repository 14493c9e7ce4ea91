package io.microsnap.hvf.internal.binding;

import io.microsnap.hvf.SystemRegister;
import io.microsnap.testsupport.CCompiler;
import java.lang.foreign.Arena;
import java.lang.foreign.FunctionDescriptor;
import java.lang.foreign.Linker;
import java.lang.foreign.MemoryLayout;
import java.lang.foreign.MemorySegment;
import java.lang.foreign.SymbolLookup;
import java.lang.foreign.ValueLayout;
import java.nio.file.Path;
import java.util.HexFormat;
import java.util.List;
import java.util.Optional;
import java.util.Set;

/**
 * The library that stands in for Hypervisor.framework, and what a test may ask of it beside the framework's functions.
 * One in a process; {@link #reset} makes it as new.
 */
public final class StandIn {
    private static final StandIn LOADED = new StandIn();
    /** {@code movups xmm0, [rdx]} and {@code jmp rcx}: what {@link VectorCode#AARCH64} is, on x86-64. */
    private static final VectorCode X86_64 = new VectorCode(HexFormat.of().parseHex("0f1002ffe1"));

    private final SymbolLookup library;

    @SuppressWarnings("restricted")
    private StandIn() {
        CCompiler compiler = CCompiler.find().orElseThrow(() -> new IllegalStateException("there is no C compiler"));
        Path file = compiler.library(StandIn.class, "standin.c", "hypervisor.h");
        library = SymbolLookup.libraryLookup(file, Arena.global());
    }

    /** The one of this process, as new. */
    public static StandIn fresh() {
        LOADED.reset();
        return LOADED;
    }

    /** The framework it stands in for, without the functions named. */
    public HypervisorFramework framework(String... without) {
        Set<String> hidden = Set.of(without);
        SymbolLookup visible = name -> hidden.contains(name) ? Optional.empty() : library.find(name);
        VectorCode code = System.getProperty("os.arch").equals("amd64") ? X86_64 : VectorCode.AARCH64;
        try {
            return new NativeFramework(visible, visible, code);
        } catch (HypervisorException unavailable) {
            throw new IllegalStateException(unavailable);
        }
    }

    SymbolLookup library() {
        return library;
    }

    public void reset() {
        call("standin_reset", null);
    }

    /** Forgets what is still there, after a test of what could not be freed. */
    public void abandon() {
        call("standin_abandon", null);
    }

    /** Has the nth call of a function from now on fail; of any function, if the name is empty. */
    public void fail(String name, int nth, HvReturn result) {
        try (Arena arena = Arena.ofConfined()) {
            call("standin_fail", null, arena.allocateFrom(name), nth, result.number());
        }
    }

    /** How many calls there were. */
    public int calls() {
        return (int) call("standin_calls", ValueLayout.JAVA_INT);
    }

    /** What was done that is forbidden; empty if nothing was. */
    public String violation() {
        return text("standin_violation");
    }

    /** What is still there of VMs, vCPUs and objects; empty if nothing is. */
    public String leaks() {
        return text("standin_leaks");
    }

    public void osBuild(String build) {
        try (Arena arena = Arena.ofConfined()) {
            call("standin_os_build", null, arena.allocateFrom(build));
        }
    }

    public void hvSupport(boolean supported) {
        call("standin_hv_support", null, supported ? 1 : 0);
    }

    /** Adds to every identification register of the vCPUs that are made from now on. */
    public void changeIds(long change) {
        call("standin_change_ids", null, change);
    }

    public void missingRegister(SystemRegister register) {
        call("standin_missing_register", null, (int) register.id());
    }

    /** Has a register ignore what is written to it. */
    public void ignoreRegister(SystemRegister register) {
        call("standin_ignore_register", null, (int) register.id());
    }

    /** What stores to protected pages are reported as. */
    public enum StoreFault {
        STORE, TABLE_WALK, TABLE_WALK_OF_A_FETCH, TABLE_WALK_WITHOUT_WRITE
    }

    public void storesAs(StoreFault what) {
        call("standin_stores_as", null, List.of(StoreFault.values()).indexOf(what));
    }

    /** Has every so manieth store fault that is allowed. */
    public void spurious(int every) {
        call("standin_spurious", null, every);
    }

    public int faults() {
        return (int) call("standin_faults", ValueLayout.JAVA_INT);
    }

    /** How often machine code was announced to the processor. */
    public int flushed() {
        return (int) call("standin_flushed", ValueLayout.JAVA_INT);
    }

    public void controllerWord(int index, long value) {
        call("standin_gic_word", null, index, value);
    }

    public long controllerWord(int index) {
        return (long) call("standin_gic_read", ValueLayout.JAVA_LONG, index);
    }

    /** Whether the line was high when the guest was entered last. */
    public boolean pendingWhenRun(long vcpu, int line) {
        return (int) call("standin_pending_when_run", ValueLayout.JAVA_INT, vcpu, line) != 0;
    }

    public boolean isInGuest(long vcpu) {
        return (int) call("standin_running", ValueLayout.JAVA_INT, vcpu) != 0;
    }

    /** The identifier that the stand-in gives the vCPU of this number. */
    public static long vcpuId(int index) {
        return (1L << 32) + index;
    }

    @SuppressWarnings("restricted")
    private String text(String name) {
        return ((MemorySegment) call(name, ValueLayout.ADDRESS)).reinterpret(1024).getString(0);
    }

    @SuppressWarnings("restricted")
    private Object call(String name, MemoryLayout result, Object... arguments) {
        MemoryLayout[] layouts = new MemoryLayout[arguments.length];
        for (int index = 0; index < arguments.length; index++) {
            layouts[index] = switch (arguments[index]) {
                case Integer ignored -> ValueLayout.JAVA_INT;
                case Long ignored -> ValueLayout.JAVA_LONG;
                default -> ValueLayout.ADDRESS;
            };
        }
        FunctionDescriptor function = result == null
                ? FunctionDescriptor.ofVoid(layouts) : FunctionDescriptor.of(result, layouts);
        try {
            return Linker.nativeLinker().downcallHandle(library.find(name).orElseThrow(), function)
                    .invokeWithArguments(arguments);
        } catch (Throwable thrown) {
            throw new IllegalStateException(name, thrown);
        }
    }
}
