package io.microsnap.kvm;

import io.microsnap.kvm.internal.abi.Request;
import io.microsnap.kvm.internal.abi.Structs;
import java.io.IOException;
import java.lang.foreign.Arena;
import java.lang.foreign.MemorySegment;
import java.lang.foreign.SegmentAllocator;
import java.lang.foreign.ValueLayout;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.List;

/**
 * The model-specific registers that make up a vCPU's state. The kernel lists them. Some of its list cannot be read on a
 * given vCPU: trying shows that, and this object remembers it.
 */
final class ModelSpecificRegisters {
    private static final long HEADER = Structs.KVM_MSRS.byteSize();
    private static final long ENTRY = Structs.KVM_MSR_ENTRY.byteSize();
    private static final long VALUE = 8;
    /** More than any kernel lists. */
    private static final int MOST = 4096;
    /** Arms the timer, relative to the clock that the others set, so it is set last. */
    private static final int TSC_DEADLINE = 0x6e0;

    private int[] readable;
    private final List<String> unreadable = new ArrayList<>();

    private ModelSpecificRegisters(int[] listed) {
        readable = listed;
    }

    static ModelSpecificRegisters listed(KvmDescriptor system) throws IOException {
        try (Arena arena = Arena.ofConfined()) {
            MemorySegment list = arena.allocate(Structs.KVM_MSR_LIST.byteSize() + MOST * (long) Integer.BYTES, 8);
            list.set(ValueLayout.JAVA_INT, 0, MOST);
            system.call(Request.KVM_GET_MSR_INDEX_LIST, list);
            int[] listed = list.asSlice(Integer.BYTES, list.get(ValueLayout.JAVA_INT, 0) * (long) Integer.BYTES)
                    .toArray(ValueLayout.JAVA_INT);
            int last = listed.length - 1;
            for (int number = 0; number < last; number++) {
                if (listed[number] == TSC_DEADLINE) {
                    System.arraycopy(listed, number + 1, listed, number, last - number);
                    listed[last] = TSC_DEADLINE;
                    break;
                }
            }
            return new ModelSpecificRegisters(listed);
        }
    }

    /** Reads all registers: the struct as {@code KVM_SET_MSRS} takes it. */
    synchronized MemorySegment read(KvmDescriptor vcpu, SegmentAllocator allocator) throws IOException {
        while (true) {
            MemorySegment all = allocator.allocate(HEADER + readable.length * ENTRY, Long.BYTES);
            all.set(ValueLayout.JAVA_INT, 0, readable.length);
            for (int number = 0; number < readable.length; number++) {
                all.set(ValueLayout.JAVA_INT, HEADER + number * ENTRY, readable[number]);
            }
            int read = vcpu.call(Request.KVM_GET_MSRS, all);
            if (read == readable.length) {
                return all;
            }
            unreadable.add(name(readable[read]));
            int[] fewer = Arrays.copyOf(readable, readable.length - 1);
            System.arraycopy(readable, read + 1, fewer, read, fewer.length - read);
            readable = fewer;
        }
    }

    /** Returns the registers that the kernel lists but a vCPU here lacks. */
    synchronized List<String> unreadable() {
        return List.copyOf(unreadable);
    }

    static boolean isWellFormed(MemorySegment list) {
        return list.byteSize() >= HEADER && count(list) >= 0 && count(list) <= MOST
                && list.byteSize() == HEADER + count(list) * ENTRY;
    }

    /**
     * Sets all registers, and describes those that could not be set. One that already has its value need not be set.
     */
    static List<String> write(KvmDescriptor vcpu, MemorySegment list) throws IOException {
        List<String> failures = new ArrayList<>();
        try (Arena arena = Arena.ofConfined()) {
            MemorySegment rest = arena.allocate(list.byteSize(), Long.BYTES);
            int done = 0;
            while (done < count(list)) {
                int left = count(list) - done;
                rest.set(ValueLayout.JAVA_INT, 0, left);
                MemorySegment.copy(list, HEADER + done * ENTRY, rest, HEADER, left * ENTRY);
                int set = vcpu.call(Request.KVM_SET_MSRS, rest);
                done += set;
                if (set < left) {
                    long at = HEADER + done * ENTRY;
                    int index = list.get(ValueLayout.JAVA_INT, at);
                    long value = list.get(ValueLayout.JAVA_LONG, at + VALUE);
                    if (!hasAlready(vcpu, index, value, arena)) {
                        failures.add(name(index) + " cannot be set to 0x" + Long.toHexString(value));
                    }
                    done++;
                }
            }
        }
        return failures;
    }

    private static boolean hasAlready(KvmDescriptor vcpu, int index, long value, Arena arena) throws IOException {
        MemorySegment one = arena.allocate(HEADER + ENTRY, Long.BYTES);
        one.set(ValueLayout.JAVA_INT, 0, 1);
        one.set(ValueLayout.JAVA_INT, HEADER, index);
        return vcpu.call(Request.KVM_GET_MSRS, one) == 1 && one.get(ValueLayout.JAVA_LONG, HEADER + VALUE) == value;
    }

    private static int count(MemorySegment list) {
        return list.get(ValueLayout.JAVA_INT, 0);
    }

    private static String name(int index) {
        return "MSR 0x" + Integer.toHexString(index);
    }
}
