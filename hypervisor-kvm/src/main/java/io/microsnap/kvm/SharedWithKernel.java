package io.microsnap.kvm;

import io.microsnap.core.internal.posix.Constants;
import io.microsnap.core.internal.posix.Posix;
import io.microsnap.core.internal.posix.SystemCallException;
import java.io.IOException;
import java.lang.foreign.Arena;
import java.lang.foreign.MemorySegment;

/** Memory that a vCPU shares with the kernel, mapped from its descriptor for as long as an arena lives. */
final class SharedWithKernel {
    private SharedWithKernel() {
    }

    @SuppressWarnings("restricted")
    static MemorySegment map(KvmDescriptor vcpu, long offset, long lengthBytes, Arena arena) throws IOException {
        Posix posix = vcpu.posix();
        Constants constants = posix.constants();
        long address = posix.mmap(0, lengthBytes, constants.PROT_READ | constants.PROT_WRITE, constants.MAP_SHARED,
                vcpu.number(), offset);
        if (address < 0) {
            throw SystemCallException.of(posix, address, "mmap", vcpu.name(),
                    "of " + lengthBytes + " bytes at " + offset);
        }
        return MemorySegment.ofAddress(address)
                .reinterpret(lengthBytes, arena, mapping -> posix.munmap(mapping.address(), lengthBytes));
    }
}
