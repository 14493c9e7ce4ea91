package io.microsnap.kvm;

import io.microsnap.kvm.abi.Request;
import io.microsnap.kvm.abi.Structs;
import java.lang.foreign.Arena;
import java.lang.foreign.MemorySegment;
import java.lang.foreign.ValueLayout;

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
}
