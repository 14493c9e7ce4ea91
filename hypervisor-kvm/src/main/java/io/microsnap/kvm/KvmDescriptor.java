package io.microsnap.kvm;

import io.microsnap.core.SnapshotException;
import io.microsnap.core.internal.posix.Descriptor;
import io.microsnap.core.internal.posix.Errno;
import io.microsnap.core.internal.posix.Posix;
import io.microsnap.core.internal.posix.SystemCallException;
import io.microsnap.kvm.internal.abi.Capability;
import io.microsnap.kvm.internal.abi.Request;
import java.io.IOException;
import java.lang.foreign.MemorySegment;
import java.util.EnumMap;
import java.util.Map;

/** One of KVM's descriptors (the system, a VM, a vCPU) and the ioctls on it, which turns failures into messages. */
final class KvmDescriptor implements AutoCloseable {
    private final Descriptor descriptor;
    private final Map<Capability, Integer> capabilities = new EnumMap<>(Capability.class);

    KvmDescriptor(Descriptor descriptor) {
        this.descriptor = descriptor;
    }

    /** Duplicates another owner's descriptor; the owner still closes its own. */
    static KvmDescriptor duplicate(Posix posix, int theirs, String name) throws IOException {
        int ours = posix.fcntl(theirs, posix.constants().F_DUPFD_CLOEXEC, 0);
        if (ours < 0) {
            throw new SnapshotException(name + ": descriptor " + theirs + " cannot be used: "
                    + posix.constants().errno(ours) + "; pass one that is open in this process");
        }
        return new KvmDescriptor(Descriptor.adopt(posix, ours, name));
    }

    Posix posix() {
        return descriptor.posix();
    }

    String name() {
        return descriptor.name();
    }

    int number() {
        return descriptor.number();
    }

    /** Returns the raw result, for a caller that expects failures; an interrupted call is not repeated. */
    int raw(Request request, long argument) {
        return posix().ioctl(descriptor.number(), request.number(), argument);
    }

    int raw(Request request, MemorySegment argument) {
        return posix().ioctl(descriptor.number(), request.number(), argument);
    }

    int call(Request request, long argument) throws IOException {
        return call(request, argument, "");
    }

    /** As above; the detail describes the attempt in messages. */
    int call(Request request, long argument, String detail) throws IOException {
        while (true) {
            int result = raw(request, argument);
            if (!failed(result, Errno.EINTR)) {
                return check(request, result, detail);
            }
        }
    }

    int call(Request request, MemorySegment argument) throws IOException {
        return call(request, argument, "");
    }

    /** As above; the detail describes the attempt in messages. */
    int call(Request request, MemorySegment argument, String detail) throws IOException {
        while (true) {
            int result = raw(request, argument);
            if (!failed(result, Errno.EINTR)) {
                return check(request, result, detail);
            }
        }
    }

    boolean failed(long result, Errno errno) {
        return posix().constants().failedWith(result, errno);
    }

    /**
     * Returns the answer of the KVM behind this descriptor for a capability: zero if it lacks it. It is queried once.
     */
    synchronized int capability(Capability capability) throws IOException {
        Integer known = capabilities.get(capability);
        if (known == null) {
            known = call(Request.KVM_CHECK_EXTENSION, capability.number());
            capabilities.put(capability, known);
        }
        return known;
    }

    private int check(Request request, int result, String detail) throws IOException {
        if (result >= 0) {
            return result;
        }
        if (failed(result, Errno.EIO)) {
            throw new SnapshotException(name() + ": " + request + " failed with EIO: this VM belongs to another"
                    + " process, and KVM answers only the process that made it. Track its memory with the page-map"
                    + " scan, or capture by comparing");
        }
        if (failed(result, Errno.ENOTTY)) {
            throw new SnapshotException(name() + ": " + request + " failed with ENOTTY: the descriptor is not of that"
                    + " kind, or this kernel's KVM lacks the call");
        }
        throw SystemCallException.of(posix(), result, "ioctl " + request, name(), detail);
    }

    @Override
    public void close() throws IOException {
        descriptor.close();
    }
}
