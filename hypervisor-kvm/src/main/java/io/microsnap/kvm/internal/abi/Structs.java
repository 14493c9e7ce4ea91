package io.microsnap.kvm.internal.abi;

import static java.lang.foreign.ValueLayout.JAVA_BYTE;
import static java.lang.foreign.ValueLayout.JAVA_INT;
import static java.lang.foreign.ValueLayout.JAVA_LONG;
import static java.lang.foreign.ValueLayout.JAVA_SHORT;

import java.lang.foreign.MemoryLayout;
import java.lang.foreign.MemoryLayout.PathElement;
import java.lang.foreign.StructLayout;
import java.lang.invoke.MethodHandles;
import java.lang.invoke.VarHandle;
import java.util.ArrayList;
import java.util.List;

/**
 * The structs of {@code linux/kvm.h} and {@code asm/kvm.h}, under their C names and those of their members. Members
 * that this library does not use are padding; pointers are longs. A struct with a flexible array at its end is laid out
 * without it.
 */
public final class Structs {
    public static final StructLayout KVM_USERSPACE_MEMORY_REGION = struct("kvm_userspace_memory_region",
            JAVA_INT.withName("slot"), JAVA_INT.withName("flags"), JAVA_LONG.withName("guest_phys_addr"),
            JAVA_LONG.withName("memory_size"), JAVA_LONG.withName("userspace_addr"));
    public static final StructLayout KVM_DIRTY_LOG = struct("kvm_dirty_log",
            JAVA_INT.withName("slot"), gap(4), JAVA_LONG.withName("dirty_bitmap"));
    public static final StructLayout KVM_CLEAR_DIRTY_LOG = struct("kvm_clear_dirty_log",
            JAVA_INT.withName("slot"), JAVA_INT.withName("num_pages"), JAVA_LONG.withName("first_page"),
            JAVA_LONG.withName("dirty_bitmap"));
    public static final StructLayout KVM_DIRTY_GFN = struct("kvm_dirty_gfn",
            JAVA_INT.withName("flags"), JAVA_INT.withName("slot"), JAVA_LONG.withName("offset"));
    public static final StructLayout KVM_ENABLE_CAP = struct("kvm_enable_cap",
            JAVA_INT.withName("cap"), JAVA_INT.withName("flags"),
            MemoryLayout.sequenceLayout(4, JAVA_LONG).withName("args"), gap(64));

    /** The page that a vCPU shares with the kernel: the part that this library uses. */
    public static final StructLayout KVM_RUN = struct("kvm_run",
            JAVA_BYTE.withName("request_interrupt_window"), JAVA_BYTE.withName("immediate_exit"), gap(6),
            JAVA_INT.withName("exit_reason"), gap(20),
            // The union, whose meaning depends on the exit's reason.
            MemoryLayout.unionLayout(
                    struct("io", JAVA_BYTE.withName("direction"), JAVA_BYTE.withName("size"),
                            JAVA_SHORT.withName("port"), JAVA_INT.withName("count"),
                            JAVA_LONG.withName("data_offset")),
                    struct("mmio", JAVA_LONG.withName("phys_addr"), gap(8), JAVA_INT.withName("len"),
                            JAVA_BYTE.withName("is_write")),
                    struct("internal", JAVA_INT.withName("suberror"), JAVA_INT.withName("ndata")),
                    struct("fail_entry", JAVA_LONG.withName("hardware_entry_failure_reason")),
                    MemoryLayout.sequenceLayout(256 / Long.BYTES, JAVA_LONG)).withName("exit"),
            gap(2064));

    public static final StructLayout KVM_REGS = struct("kvm_regs", longs(
            "rax", "rbx", "rcx", "rdx", "rsi", "rdi", "rsp", "rbp",
            "r8", "r9", "r10", "r11", "r12", "r13", "r14", "r15", "rip", "rflags"));
    public static final StructLayout KVM_SREGS = struct("kvm_sregs", specialRegisters(
            MemoryLayout.sequenceLayout(4, JAVA_LONG).withName("interrupt_bitmap")));
    public static final StructLayout KVM_SREGS2 = struct("kvm_sregs2", specialRegisters(
            JAVA_LONG.withName("flags"), MemoryLayout.sequenceLayout(4, JAVA_LONG).withName("pdptrs")));
    public static final StructLayout KVM_FPU = struct("kvm_fpu", gap(416));
    public static final StructLayout KVM_XSAVE = struct("kvm_xsave", gap(4096));
    public static final StructLayout KVM_XCRS = struct("kvm_xcrs",
            JAVA_INT.withName("nr_xcrs"), JAVA_INT.withName("flags"), gap(16 * 16 + 16 * 8));
    public static final StructLayout KVM_DEBUGREGS = struct("kvm_debugregs",
            MemoryLayout.sequenceLayout(4, JAVA_LONG).withName("db"), JAVA_LONG.withName("dr6"),
            JAVA_LONG.withName("dr7"), JAVA_LONG.withName("flags"), gap(9 * 8));
    public static final StructLayout KVM_VCPU_EVENTS = struct("kvm_vcpu_events",
            gap(20), JAVA_INT.withName("flags"), gap(40));
    public static final StructLayout KVM_MP_STATE = struct("kvm_mp_state", JAVA_INT.withName("mp_state"));
    public static final StructLayout KVM_LAPIC_STATE = struct("kvm_lapic_state", gap(1024));

    public static final StructLayout KVM_MSR_LIST = struct("kvm_msr_list", JAVA_INT.withName("nmsrs"));
    public static final StructLayout KVM_MSR_ENTRY = struct("kvm_msr_entry",
            JAVA_INT.withName("index"), gap(4), JAVA_LONG.withName("data"));
    public static final StructLayout KVM_MSRS = struct("kvm_msrs", JAVA_INT.withName("nmsrs"), gap(4));
    public static final StructLayout KVM_CPUID_ENTRY2 = struct("kvm_cpuid_entry2",
            JAVA_INT.withName("function"), JAVA_INT.withName("index"), JAVA_INT.withName("flags"),
            JAVA_INT.withName("eax"), JAVA_INT.withName("ebx"), JAVA_INT.withName("ecx"), JAVA_INT.withName("edx"),
            gap(12));
    public static final StructLayout KVM_CPUID2 = struct("kvm_cpuid2", JAVA_INT.withName("nent"), gap(4));

    public static final StructLayout KVM_IRQCHIP = struct("kvm_irqchip", JAVA_INT.withName("chip_id"), gap(4 + 512));
    public static final StructLayout KVM_PIT_CONFIG = struct("kvm_pit_config", JAVA_INT.withName("flags"), gap(60));
    public static final StructLayout KVM_PIT_STATE2 = struct("kvm_pit_state2",
            gap(3 * 24), JAVA_INT.withName("flags"), gap(36));
    public static final StructLayout KVM_CLOCK_DATA = struct("kvm_clock_data",
            JAVA_LONG.withName("clock"), JAVA_INT.withName("flags"), gap(4), JAVA_LONG.withName("realtime"),
            JAVA_LONG.withName("host_tsc"), gap(16));

    private Structs() {
    }

    /** Returns access to a member by its path of names. */
    public static VarHandle member(StructLayout struct, String... path) {
        PathElement[] elements = new PathElement[path.length];
        for (int index = 0; index < path.length; index++) {
            elements[index] = PathElement.groupElement(path[index]);
        }
        // The struct's offset in its segment is always zero, so bind it here.
        return MethodHandles.insertCoordinates(struct.varHandle(elements), 1, 0L);
    }

    private static MemoryLayout[] specialRegisters(MemoryLayout... last) {
        List<MemoryLayout> members = new ArrayList<>();
        for (String name : List.of("cs", "ds", "es", "fs", "gs", "ss", "tr", "ldt")) {
            members.add(struct(name, JAVA_LONG.withName("base"), JAVA_INT.withName("limit"),
                    JAVA_SHORT.withName("selector"), JAVA_BYTE.withName("type"), JAVA_BYTE.withName("present"),
                    JAVA_BYTE.withName("dpl"), JAVA_BYTE.withName("db"), JAVA_BYTE.withName("s"),
                    JAVA_BYTE.withName("l"), JAVA_BYTE.withName("g"), JAVA_BYTE.withName("avl"),
                    JAVA_BYTE.withName("unusable"), gap(1)));
        }
        for (String name : List.of("gdt", "idt")) {
            members.add(struct(name, JAVA_LONG.withName("base"), JAVA_SHORT.withName("limit"), gap(6)));
        }
        members.addAll(List.of(longs("cr0", "cr2", "cr3", "cr4", "cr8", "efer", "apic_base")));
        members.addAll(List.of(last));
        return members.toArray(MemoryLayout[]::new);
    }

    private static MemoryLayout[] longs(String... names) {
        MemoryLayout[] members = new MemoryLayout[names.length];
        for (int index = 0; index < names.length; index++) {
            members[index] = JAVA_LONG.withName(names[index]);
        }
        return members;
    }

    private static MemoryLayout gap(long bytes) {
        return MemoryLayout.paddingLayout(bytes);
    }

    private static StructLayout struct(String name, MemoryLayout... members) {
        long alignment = 1;
        long bytes = 0;
        for (MemoryLayout member : members) {
            alignment = Math.max(alignment, member.byteAlignment());
            bytes += member.byteSize();
        }
        if (bytes % alignment == 0) {
            return MemoryLayout.structLayout(members).withName(name);
        }
        List<MemoryLayout> padded = new ArrayList<>(List.of(members));
        padded.add(gap(alignment - bytes % alignment));
        return MemoryLayout.structLayout(padded.toArray(MemoryLayout[]::new)).withName(name);
    }
}
