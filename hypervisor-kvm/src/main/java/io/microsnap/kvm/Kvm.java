package io.microsnap.kvm;

import io.microsnap.core.SnapshotException;
import io.microsnap.core.internal.posix.Descriptor;
import io.microsnap.core.internal.posix.Posix;
import io.microsnap.core.internal.work.Closing;
import io.microsnap.kvm.internal.abi.Capability;
import io.microsnap.kvm.internal.abi.Numbers;
import io.microsnap.kvm.internal.abi.Request;
import java.io.IOException;
import java.lang.foreign.Arena;
import java.lang.foreign.MemorySegment;
import java.nio.file.AccessDeniedException;
import java.nio.file.NoSuchFileException;
import java.nio.file.Path;

/** KVM itself: {@code /dev/kvm}, what it can do, and the way to a VM. Safe for use by any number of threads. */
public final class Kvm implements AutoCloseable {
    private static final Path DEVICE = Path.of("/dev/kvm");

    private final KvmDescriptor descriptor;
    private final int runPageBytes;
    private MemorySegment supportedCpuid;

    private Kvm(KvmDescriptor descriptor, int runPageBytes) {
        this.descriptor = descriptor;
        this.runPageBytes = runPageBytes;
    }

    /** Opens {@code /dev/kvm}; if that is impossible, the exception says what would enable it. */
    public static Kvm open() throws IOException {
        return open(Posix.host());
    }

    static Kvm open(Posix posix) throws IOException {
        return open(posix, DEVICE);
    }

    static Kvm open(Posix posix, Path device) throws IOException {
        KvmDescriptor descriptor = new KvmDescriptor(openDevice(posix, device));
        try {
            int version = descriptor.call(Request.KVM_GET_API_VERSION, 0);
            if (version != Numbers.KVM_API_VERSION) {
                throw new SnapshotException(device + " speaks version " + version + " of KVM's interface; "
                        + Numbers.KVM_API_VERSION + " is the only one in use since Linux 2.6.22");
            }
            for (Capability needed : new Capability[] {Capability.KVM_CAP_USER_MEMORY,
                Capability.KVM_CAP_CHECK_EXTENSION_VM, Capability.KVM_CAP_IMMEDIATE_EXIT}) {
                if (descriptor.capability(needed) == 0) {
                    throw new SnapshotException(device + " lacks " + needed + ", which microsnap needs; use Linux"
                            + " 4.12 or later");
                }
            }
            return new Kvm(descriptor, descriptor.call(Request.KVM_GET_VCPU_MMAP_SIZE, 0));
        } catch (Throwable failure) {
            Closing.closeAfter(failure, descriptor);
            throw failure;
        }
    }

    private static Descriptor openDevice(Posix posix, Path device) throws IOException {
        try {
            return Descriptor.open(posix, device, posix.constants().O_RDWR, 0);
        } catch (NoSuchFileException missing) {
            throw withCause(new NoSuchFileException(device.toString(), null, "there is no KVM here; load its module"
                    + " (modprobe kvm_intel, or kvm_amd), and see that virtualization is enabled in the firmware, or"
                    + " nested virtualization in the hypervisor that runs this machine"), missing);
        } catch (AccessDeniedException denied) {
            throw withCause(new AccessDeniedException(device.toString(), null, "this user may not use KVM; join its"
                    + " group (sudo usermod -aG kvm $USER, then log in again) or sudo setfacl -m u:$USER:rw "
                    + device), denied);
        }
    }

    private static <T extends Exception> T withCause(T failure, Exception cause) {
        failure.initCause(cause);
        return failure;
    }

    /** Returns this KVM's answer for a capability: zero if it lacks it. */
    int capability(Capability capability) throws IOException {
        return descriptor.capability(capability);
    }

    /** Returns whether this KVM offers this kind of dirty tracking. */
    public boolean offers(DirtyTracking tracking) throws IOException {
        return switch (tracking) {
            case LOG -> true;
            case MANUAL_CLEAR -> capability(Capability.KVM_CAP_MANUAL_DIRTY_LOG_PROTECT2) != 0;
            case RING -> capability(Capability.KVM_CAP_DIRTY_LOG_RING_ACQ_REL) != 0;
        };
    }

    /** Returns the best kind of dirty tracking that this KVM offers. */
    public DirtyTracking bestDirtyTracking() throws IOException {
        return capability(Capability.KVM_CAP_MANUAL_DIRTY_LOG_PROTECT2) != 0
                ? DirtyTracking.MANUAL_CLEAR : DirtyTracking.LOG;
    }

    /** Makes a VM without memory and vCPUs, with the best kind of dirty tracking. */
    public VirtualMachine createVirtualMachine() throws IOException {
        return createVirtualMachine(bestDirtyTracking());
    }

    /** Makes a VM without memory and vCPUs; its kind of dirty tracking never changes. */
    public VirtualMachine createVirtualMachine(DirtyTracking tracking) throws IOException {
        return createVirtualMachine(tracking, DirtyRings.DEFAULT_ENTRIES);
    }

    /** As above; {@code ringEntries}, a power of two, is how many pages each vCPU's dirty ring holds. */
    public VirtualMachine createVirtualMachine(DirtyTracking tracking, int ringEntries) throws IOException {
        int number = descriptor.call(Request.KVM_CREATE_VM, 0);
        KvmDescriptor vm = new KvmDescriptor(Descriptor.adopt(descriptor.posix(), number, "KVM VM"));
        return VirtualMachine.created(this, vm, tracking, ringEntries);
    }

    /** Returns the processor features that a vCPU can have: the struct as {@code KVM_SET_CPUID2} takes it. */
    synchronized MemorySegment supportedCpuid() throws IOException {
        if (supportedCpuid == null) {
            supportedCpuid = Cpuid.supported(descriptor, Arena.ofAuto());
        }
        return supportedCpuid;
    }

    KvmDescriptor descriptor() {
        return descriptor;
    }

    /** Returns the length of the memory that a vCPU shares with the kernel. */
    int runPageBytes() {
        return runPageBytes;
    }

    /** Closes {@code /dev/kvm}; VMs made by it stay alive. A second call does nothing. */
    @Override
    public void close() throws IOException {
        descriptor.close();
    }
}
