package io.microsnap.kvm;

import io.microsnap.core.SnapshotException;
import io.microsnap.core.internal.posix.Errno;
import io.microsnap.core.internal.posix.SystemCallException;
import io.microsnap.kvm.internal.abi.Capability;
import io.microsnap.kvm.internal.abi.Request;
import io.microsnap.kvm.internal.abi.Structs;
import java.io.IOException;
import java.lang.foreign.Arena;
import java.lang.foreign.MemorySegment;
import java.lang.foreign.SegmentAllocator;
import java.lang.foreign.ValueLayout;
import java.util.ArrayList;
import java.util.List;

/**
 * The processor features that a vCPU shows its guest, as KVM's list of entries, and whether another KVM can offer them.
 */
final class Cpuid {
    private static final long HEADER = Structs.KVM_CPUID2.byteSize();
    private static final long ENTRY = Structs.KVM_CPUID_ENTRY2.byteSize();
    private static final int FIRST_GUESS = 128;
    /** More than any processor has: KVM's own limit is 256. */
    private static final int MOST = 1024;
    private static final int APIC_ID_SHIFT = 24;
    private static final int VENDOR = 0;
    private static final int FEATURES = 1;
    private static final int TSC_DEADLINE_TIMER = 1 << 24;
    private static final int TOPOLOGY = 0xb;
    private static final int TOPOLOGY_2 = 0x1f;

    /** The content of one entry. */
    record Entry(int function, int index, int eax, int ebx, int ecx, int edx) {
        int register(int number) {
            return switch (number) {
                case 0 -> eax;
                case 1 -> ebx;
                case 2 -> ecx;
                default -> edx;
            };
        }
    }

    /**
     * Registers that hold only feature bits. Bits that mirror the guest's control registers (OSXSAVE, OSPKE) are not
     * features.
     */
    private enum FeatureWord {
        F1_ECX(FEATURES, 0, 2, 1 << 27), F1_EDX(FEATURES, 0, 3, 0), F7_EBX(7, 0, 1, 0), F7_ECX(7, 0, 2, 1 << 4),
        F7_EDX(7, 0, 3, 0), F7_1_EAX(7, 1, 0, 0), XSAVE_COMPONENTS(0xd, 0, 0, 0), XSAVE_FEATURES(0xd, 1, 0, 0),
        EXTENDED_ECX(0x8000_0001, 0, 2, 0), EXTENDED_EDX(0x8000_0001, 0, 3, 0), AMD_EBX(0x8000_0008, 0, 1, 0),
        AMD_21_EAX(0x8000_0021, 0, 0, 0), KVM_EAX(0x4000_0001, 0, 0, 0);

        private final int function;
        private final int index;
        private final int register;
        private final int ignored;

        FeatureWord(int function, int index, int register, int ignored) {
            this.function = function;
            this.index = index;
            this.register = register;
            this.ignored = ignored;
        }

        int of(List<Entry> entries) {
            for (Entry entry : entries) {
                if (entry.function() == function && entry.index() == index) {
                    return entry.register(register) & ~ignored;
                }
            }
            return 0;
        }

        String named() {
            return "CPUID 0x" + Integer.toHexString(function) + "." + index + " "
                    + List.of("EAX", "EBX", "ECX", "EDX").get(register);
        }
    }

    private Cpuid() {
    }

    /** Returns everything that KVM can offer a guest here: the struct as {@code KVM_SET_CPUID2} takes it. */
    static MemorySegment supported(KvmDescriptor system, SegmentAllocator allocator) throws IOException {
        MemorySegment list = list(system, Request.KVM_GET_SUPPORTED_CPUID, allocator);
        if (system.capability(Capability.KVM_CAP_TSC_DEADLINE_TIMER) != 0) {
            // Before Linux 6.15 the list lacks it, although VMMs give it to their guests.
            for (int number = 0; number < count(list); number++) {
                long at = HEADER + number * ENTRY;
                if (list.get(ValueLayout.JAVA_INT, at) == FEATURES) {
                    long features = at + Register.ECX;
                    list.set(ValueLayout.JAVA_INT, features,
                            list.get(ValueLayout.JAVA_INT, features) | TSC_DEADLINE_TIMER);
                }
            }
        }
        return list;
    }

    /** Returns the list of a vCPU. */
    static MemorySegment of(KvmDescriptor vcpu, SegmentAllocator allocator) throws IOException {
        return list(vcpu, Request.KVM_GET_CPUID2, allocator);
    }

    private static MemorySegment list(KvmDescriptor descriptor, Request request, SegmentAllocator allocator)
            throws IOException {
        for (int room = FIRST_GUESS; room <= MOST; room *= 2) {
            MemorySegment list = allocator.allocate(HEADER + room * ENTRY, Long.BYTES);
            list.set(ValueLayout.JAVA_INT, 0, room);
            int result = descriptor.raw(request, list);
            if (result >= 0) {
                return list.asSlice(0, HEADER + count(list) * ENTRY);
            }
            if (!descriptor.failed(result, Errno.E2BIG) && !descriptor.failed(result, Errno.EINTR)) {
                throw SystemCallException.of(descriptor.posix(), result, "ioctl " + request, descriptor.name(), "");
            }
        }
        throw new SnapshotException(descriptor.name() + ": " + request + " has more than " + MOST + " entries");
    }

    /** Returns the list with the processor number of this vCPU in it. */
    static MemorySegment forVcpu(MemorySegment list, int vcpu, Arena arena) {
        MemorySegment own = arena.allocate(list.byteSize(), Long.BYTES).copyFrom(list);
        for (int number = 0; number < count(own); number++) {
            long at = HEADER + number * ENTRY;
            int function = own.get(ValueLayout.JAVA_INT, at);
            if (function == FEATURES) {
                int ebx = own.get(ValueLayout.JAVA_INT, at + Register.EBX);
                own.set(ValueLayout.JAVA_INT, at + Register.EBX,
                        (ebx & ((1 << APIC_ID_SHIFT) - 1)) | (vcpu << APIC_ID_SHIFT));
            } else if (function == TOPOLOGY || function == TOPOLOGY_2) {
                own.set(ValueLayout.JAVA_INT, at + Register.EDX, vcpu);
            }
        }
        return own;
    }

    /** Returns whether the bytes are well-formed as a list. */
    static boolean isWellFormed(MemorySegment list) {
        return list.byteSize() >= HEADER && count(list) >= 0 && count(list) <= MOST
                && list.byteSize() == HEADER + count(list) * ENTRY;
    }

    static List<Entry> entries(MemorySegment list) {
        List<Entry> entries = new ArrayList<>();
        for (int number = 0; number < count(list); number++) {
            long at = HEADER + number * ENTRY;
            entries.add(new Entry(list.get(ValueLayout.JAVA_INT, at), list.get(ValueLayout.JAVA_INT, at + 4),
                    list.get(ValueLayout.JAVA_INT, at + Register.EAX),
                    list.get(ValueLayout.JAVA_INT, at + Register.EBX),
                    list.get(ValueLayout.JAVA_INT, at + Register.ECX),
                    list.get(ValueLayout.JAVA_INT, at + Register.EDX)));
        }
        return entries;
    }

    /** Describes the features that the guest was shown and that neither of the two lists offers. */
    static List<String> lacking(List<Entry> saved, List<Entry> supported, List<Entry> present) {
        List<String> differences = new ArrayList<>();
        String savedVendor = vendor(saved);
        if (!saved.isEmpty() && !savedVendor.equals(vendor(supported))) {
            differences.add("the processor is " + vendor(supported) + ", the state is of " + savedVendor);
        }
        for (FeatureWord word : FeatureWord.values()) {
            int missing = word.of(saved) & ~(word.of(supported) | word.of(present));
            if (missing != 0) {
                differences.add(word.named() + ": bits 0x" + Integer.toHexString(missing) + " are not offered here");
            }
        }
        return differences;
    }

    private static String vendor(List<Entry> entries) {
        for (Entry entry : entries) {
            if (entry.function() == VENDOR) {
                StringBuilder name = new StringBuilder();
                for (int word : new int[] {entry.ebx(), entry.edx(), entry.ecx()}) {
                    for (int shift = 0; shift < Integer.SIZE; shift += Byte.SIZE) {
                        int letter = word >>> shift & 0x7f;
                        name.append(letter >= ' ' && letter <= '~' ? (char) letter : '?');
                    }
                }
                return name.toString();
            }
        }
        return "unknown";
    }

    private static int count(MemorySegment list) {
        return list.get(ValueLayout.JAVA_INT, 0);
    }

    /** The positions of the registers in an entry. */
    private static final class Register {
        static final long EAX = 12;
        static final long EBX = 16;
        static final long ECX = 20;
        static final long EDX = 24;
    }
}
