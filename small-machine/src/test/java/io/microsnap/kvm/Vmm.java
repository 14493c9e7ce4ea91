package io.microsnap.kvm;

import io.microsnap.core.Region;
import io.microsnap.kvm.internal.abi.Structs;
import java.lang.foreign.Arena;
import java.lang.foreign.FunctionDescriptor;
import java.lang.foreign.Linker;
import java.lang.foreign.MemorySegment;
import java.lang.foreign.SymbolLookup;
import java.lang.foreign.ValueLayout;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.List;

/** The VMM in C ({@code vmm.c}), loaded into this process. One at a time: it keeps its state in static variables. */
@SuppressWarnings("restricted")
public final class Vmm implements AutoCloseable {
    /** Addresses in the guest. */
    static final long HIGH = 1L << 32;

    private final Arena arena = Arena.ofShared();
    private final SymbolLookup library;

    /** Loads the library and has it make its VM, paused. */
    public Vmm(Path file) {
        library = SymbolLookup.libraryLookup(file, arena);
        call("vmm_open");
    }

    /** Lets the guest run. */
    public void resume() {
        call("vmm_resume");
    }

    /** Returns when the vCPU is out of the guest. */
    public void pause() {
        call("vmm_pause");
    }

    /** How often the guest wrote. */
    public long counter() {
        return Integer.toUnsignedLong(number("vmm_counter"));
    }

    /** How often its vCPU left the guest without being asked. */
    public int surprises() {
        return number("vmm_surprises");
    }

    public int vmDescriptor() {
        return number("vmm_vm");
    }

    public int vcpuDescriptor() {
        return number("vmm_vcpu");
    }

    /** Two regions and an alias, not in the order of their numbers or addresses. */
    public List<MemorySlot> slots() {
        MemorySegment all = pointer("vmm_slots").reinterpret(3 * Structs.KVM_USERSPACE_MEMORY_REGION.byteSize());
        List<MemorySlot> slots = new ArrayList<>();
        all.elements(Structs.KVM_USERSPACE_MEMORY_REGION).forEach(slot -> slots.add(new MemorySlot(
                slot.get(ValueLayout.JAVA_INT, 0),
                new Region(slot.get(ValueLayout.JAVA_LONG, 8), slot.get(ValueLayout.JAVA_LONG, 16)),
                slot.get(ValueLayout.JAVA_LONG, 24), slot.get(ValueLayout.JAVA_INT, 4))));
        return slots;
    }

    /** Takes the alias away without telling anybody, or brings it back. */
    void dropAlias(boolean drop) {
        try {
            int result = (int) Linker.nativeLinker().downcallHandle(library.findOrThrow("vmm_drop_alias"),
                    FunctionDescriptor.of(ValueLayout.JAVA_INT, ValueLayout.JAVA_INT)).invokeExact(drop ? 1 : 0);
            if (result != 0) {
                throw new AssertionError("the VMM could not change its slot");
            }
        } catch (Throwable unexpected) {
            throw new AssertionError(unexpected);
        }
    }

    private void call(String function) {
        try {
            Linker.nativeLinker().downcallHandle(library.findOrThrow(function), FunctionDescriptor.ofVoid())
                    .invokeExact();
        } catch (Throwable unexpected) {
            throw new AssertionError(unexpected);
        }
    }

    private int number(String function) {
        try {
            return (int) Linker.nativeLinker().downcallHandle(
                    library.findOrThrow(function), FunctionDescriptor.of(ValueLayout.JAVA_INT)).invokeExact();
        } catch (Throwable unexpected) {
            throw new AssertionError(unexpected);
        }
    }

    private MemorySegment pointer(String function) {
        try {
            return (MemorySegment) Linker.nativeLinker().downcallHandle(
                    library.findOrThrow(function), FunctionDescriptor.of(ValueLayout.ADDRESS)).invokeExact();
        } catch (Throwable unexpected) {
            throw new AssertionError(unexpected);
        }
    }

    @Override
    public void close() {
        call("vmm_close");
        arena.close();
    }
}
