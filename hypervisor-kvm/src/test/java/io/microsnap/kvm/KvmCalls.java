package io.microsnap.kvm;

import io.microsnap.kvm.internal.abi.Request;
import io.microsnap.kvm.internal.abi.Structs;
import java.io.IOException;
import java.lang.foreign.Arena;
import java.lang.foreign.MemorySegment;
import java.lang.foreign.ValueLayout;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.stream.Stream;

/** Looks at a VM past its own interface. */
final class KvmCalls {
    private KvmCalls() {
    }

    /** Whether KVM keeps a dirty log of a slot; of no more than 16 GiB. */
    static boolean isLogging(VirtualMachine vm, int slot) {
        try (Arena arena = Arena.ofConfined()) {
            MemorySegment request = arena.allocate(Structs.KVM_DIRTY_LOG);
            request.set(ValueLayout.JAVA_INT, 0, slot);
            request.set(ValueLayout.JAVA_LONG, 8, arena.allocate(512 << 10, 8).address());
            return vm.descriptor().raw(Request.KVM_GET_DIRTY_LOG, request) >= 0;
        }
    }

    /** Registers a slot, flags and all, as the VMM that owns the VM would. */
    static void register(VirtualMachine vm, MemorySlot slot) throws IOException {
        try (Arena arena = Arena.ofConfined()) {
            MemorySegment region = arena.allocate(Structs.KVM_USERSPACE_MEMORY_REGION);
            region.set(ValueLayout.JAVA_INT, 0, slot.number());
            region.set(ValueLayout.JAVA_INT, 4, slot.flags());
            region.set(ValueLayout.JAVA_LONG, 8, slot.guest().guestAddress());
            region.set(ValueLayout.JAVA_LONG, 16, slot.guest().lengthBytes());
            region.set(ValueLayout.JAVA_LONG, 24, slot.hostAddress());
            vm.call(Request.KVM_SET_USER_MEMORY_REGION, region);
        }
    }

    /** How many descriptors of VMs and vCPUs this process has open. */
    static long descriptors() throws IOException {
        try (Stream<Path> open = Files.list(Path.of("/proc/self/fd"))) {
            return open.filter(KvmCalls::isOfKvm).count();
        }
    }

    private static boolean isOfKvm(Path descriptor) {
        try {
            return Files.readSymbolicLink(descriptor).toString().startsWith("anon_inode:kvm-");
        } catch (IOException closedMeanwhile) {
            return false;
        }
    }

    /** Takes a slot away; returns whether there was one. */
    static boolean remove(VirtualMachine vm, int slot) {
        try (Arena arena = Arena.ofConfined()) {
            MemorySegment nothing = arena.allocate(Structs.KVM_USERSPACE_MEMORY_REGION);
            nothing.set(ValueLayout.JAVA_INT, 0, slot);
            return vm.descriptor().raw(Request.KVM_SET_USER_MEMORY_REGION, nothing) >= 0;
        }
    }
}
