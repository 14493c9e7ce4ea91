package io.microsnap.hvf.internal.binding;

import java.lang.foreign.MemoryLayout;
import java.lang.foreign.MemoryLayout.PathElement;
import java.lang.foreign.MemorySegment;
import java.lang.foreign.StructLayout;
import java.lang.foreign.ValueLayout;
import java.lang.invoke.MethodHandles;
import java.lang.invoke.VarHandle;

/** Lays out the structure that a vCPU shares with its user: why it left the guest ({@code hv_vcpu_exit_t}). */
public final class Structs {
    public static final StructLayout HV_VCPU_EXIT = MemoryLayout.structLayout(
            ValueLayout.JAVA_INT.withName("reason"),
            MemoryLayout.paddingLayout(Integer.BYTES),
            MemoryLayout.structLayout(
                    ValueLayout.JAVA_LONG.withName("syndrome"),
                    ValueLayout.JAVA_LONG.withName("virtual_address"),
                    ValueLayout.JAVA_LONG.withName("physical_address")).withName("exception"))
            .withName("hv_vcpu_exit_t");

    public static final VarHandle EXIT_REASON = member(PathElement.groupElement("reason"));
    public static final VarHandle EXIT_SYNDROME = exception("syndrome");
    public static final VarHandle EXIT_VIRTUAL_ADDRESS = exception("virtual_address");
    public static final VarHandle EXIT_PHYSICAL_ADDRESS = exception("physical_address");

    private Structs() {
    }

    /** Returns the structure behind the pointer that {@code hv_vcpu_create} left. */
    @SuppressWarnings("restricted")
    public static MemorySegment exitAt(MemorySegment pointer) {
        return pointer.get(ValueLayout.ADDRESS, 0).reinterpret(HV_VCPU_EXIT.byteSize());
    }

    private static VarHandle exception(String name) {
        return member(PathElement.groupElement("exception"), PathElement.groupElement(name));
    }

    private static VarHandle member(PathElement... path) {
        return MethodHandles.insertCoordinates(HV_VCPU_EXIT.varHandle(path), 1, 0L);
    }
}
