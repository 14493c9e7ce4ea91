package io.microsnap.kvm;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;

import io.microsnap.core.GuestLayout;
import io.microsnap.core.HugePages;
import io.microsnap.core.Region;
import io.microsnap.core.SnapshotException;
import io.microsnap.core.internal.file.GuestRam;
import io.microsnap.core.internal.posix.Errno;
import io.microsnap.core.internal.posix.Posix;
import io.microsnap.core.testing.FaultyPosix;
import io.microsnap.dirty.DirtyBitmap;
import io.microsnap.dirty.DirtySource;
import io.microsnap.kvm.internal.abi.Capability;
import io.microsnap.kvm.internal.abi.Request;
import java.io.IOException;
import java.lang.foreign.Arena;
import java.lang.foreign.MemorySegment;
import java.util.List;
import java.util.Map;
import org.junit.jupiter.api.Test;

/** KVM's calls are made again where a signal came between, and whatever fails leaves no descriptor open. */
@KvmTest
class KvmDescriptorTest {
    private static final GuestLayout LAYOUT = GuestLayout.ofSingleRegion(4096, 1 << 20);

    private final FaultyPosix calls = FaultyPosix.host();

    @Test
    void whatASignalInterruptsIsDoneAllTheSame() throws IOException {
        nextCall(1).isInterrupted();
        try (Kvm kvm = Kvm.open(calls.posix()); Arena arena = Arena.ofConfined();
                GuestRam memory = GuestRam.anonymous(Posix.host(), LAYOUT, HugePages.NONE);
                VirtualMachine vm = kvm.createVirtualMachine()) {
            // How many slots there may be was asked; then comes the slot.
            vm.capability(Capability.KVM_CAP_NR_MEMSLOTS);
            nextCall(1).isInterrupted();
            vm.register(memory);
            assertThat(vm.memorySlots()).hasSize(1);
            Vcpu vcpu = vm.createVcpu();
            MemorySegment features = Cpuid.of(vcpu.descriptor(), arena);
            nextCall(1).isInterrupted();
            assertThat(Cpuid.of(vcpu.descriptor(), arena).mismatch(features)).isEqualTo(-1);
            MemorySegment registers = vm.modelSpecificRegisters(kvm).read(vcpu.descriptor(), arena);
            nextCall(1).isInterrupted();
            assertThat(ModelSpecificRegisters.write(vcpu.descriptor(), registers)).isEmpty();
            nextCall(1).isInterrupted();
            assertThat(vcpu.run()).isEqualTo(VcpuExit.Plain.INTERRUPTED);
            nextCall(1).fails(Errno.EAGAIN);
            assertThat(vcpu.run()).isEqualTo(VcpuExit.Plain.INTERRUPTED);
        }
    }

    @Test
    void aListThatIsLongerThanThoughtIsAskedForAgainButNotForEver() throws IOException {
        try (Kvm kvm = Kvm.open(calls.posix()); VirtualMachine vm = kvm.createVirtualMachine();
                Arena arena = Arena.ofConfined()) {
            Vcpu vcpu = vm.createVcpu();
            MemorySegment features = Cpuid.of(vcpu.descriptor(), arena);
            nextCall(1).fails(Errno.E2BIG);
            assertThat(Cpuid.of(vcpu.descriptor(), arena).mismatch(features)).isEqualTo(-1);
            nextCall(1).andLater().fails(Errno.E2BIG);
            assertThatThrownBy(() -> Cpuid.of(vcpu.descriptor(), arena)).isInstanceOf(SnapshotException.class)
                    .hasMessageContaining("KVM_GET_CPUID2").hasMessageContaining("more than 1024");
        }
    }

    @Test
    void registersThatTheKernelRefusesAltogetherAreAFailure() throws IOException {
        try (Kvm kvm = Kvm.open(calls.posix()); VirtualMachine vm = kvm.createVirtualMachine();
                Arena arena = Arena.ofConfined()) {
            Vcpu vcpu = vm.createVcpu();
            MemorySegment registers = vm.modelSpecificRegisters(kvm).read(vcpu.descriptor(), arena);
            nextCall(1).andLater().fails(Errno.EFAULT);
            assertThatThrownBy(() -> ModelSpecificRegisters.write(vcpu.descriptor(), registers))
                    .isInstanceOf(IOException.class).hasMessageContaining("KVM_SET_MSRS")
                    .hasMessageContaining("EFAULT");
        }
    }

    @Test
    void whatKvmCanDoIsAskedOnce() throws IOException {
        try (Kvm kvm = Kvm.open(calls.posix())) {
            int answer = kvm.capability(Capability.KVM_CAP_NR_MEMSLOTS);
            int asked = calls.calls("ioctl");
            assertThat(kvm.capability(Capability.KVM_CAP_NR_MEMSLOTS)).isEqualTo(answer);
            assertThat(calls.calls("ioctl")).isEqualTo(asked);
        }
    }

    @Test
    void aKvmThatSpeaksAnotherLanguageOrLacksTooMuchIsClosedAgain() {
        FaultyPosix other = FaultyPosix.over(PretendingPosix.returning(Request.KVM_GET_API_VERSION, 11));
        assertThatThrownBy(() -> Kvm.open(other.posix())).isInstanceOf(SnapshotException.class)
                .hasMessageContaining("version 11");
        assertThat(other.openDescriptors()).isEmpty();
        FaultyPosix less = FaultyPosix.over(PretendingPosix.answering(Map.of(Capability.KVM_CAP_USER_MEMORY, 0)));
        assertThatThrownBy(() -> Kvm.open(less.posix())).hasMessageContaining("KVM_CAP_USER_MEMORY");
        assertThat(less.openDescriptors()).isEmpty();
    }

    @Test
    void aVcpuThatCannotBeMadeLeavesNothing() throws IOException {
        try (Kvm kvm = Kvm.open(calls.posix()); VirtualMachine vm = kvm.createVirtualMachine()) {
            long before = KvmCalls.descriptors();
            calls.at("mmap", calls.calls("mmap") + 1).fails(Errno.ENOMEM);
            assertThatThrownBy(vm::createVcpu).hasMessageContaining("vCPU 0").hasMessageContaining("ENOMEM");
            assertThat(vm.vcpus()).isEmpty();
            assertThat(KvmCalls.descriptors()).isEqualTo(before);
            long mapped = calls.mappedBytes();
            calls.at("sigaction", calls.calls("sigaction") + 1).fails(Errno.EINVAL);
            assertThatThrownBy(vm::createVcpu).isInstanceOf(IOException.class);
            assertThat(calls.mappedBytes()).isEqualTo(mapped);
        }
    }

    @Test
    void closingGoesOnWhereAPartOfItFails() throws IOException {
        try (Kvm kvm = Kvm.open(calls.posix());
                GuestRam memory = GuestRam.anonymous(Posix.host(), LAYOUT, HugePages.NONE)) {
            long before = KvmCalls.descriptors();
            VirtualMachine vm = kvm.createVirtualMachine(DirtyTracking.LOG);
            vm.register(memory);
            vm.createVcpu();
            DirtySource source = vm.openDirtySource();
            source.arm();
            // Whether the slot logs is asked first.
            nextCall(2).fails(Errno.ENOMEM);
            assertThatThrownBy(vm::close).hasMessageContaining("KVM_SET_USER_MEMORY_REGION")
                    .hasMessageContaining("ENOMEM");
            assertThat(KvmCalls.descriptors()).isEqualTo(before);
            vm.close();
        }
    }

    @Test
    void aSourceThatFailedToBeginWatchesAllSlotsOrNone() throws IOException {
        GuestLayout layout = GuestLayout.of(4096, List.of(new Region(0, 1 << 20), new Region(1 << 30, 1 << 20)));
        try (Kvm kvm = Kvm.open(calls.posix());
                GuestRam memory = GuestRam.anonymous(Posix.host(), layout, HugePages.NONE);
                VirtualMachine vm = kvm.createVirtualMachine(DirtyTracking.LOG)) {
            vm.register(memory);
            DirtySource source = vm.openDirtySource();
            long mapped = calls.mappedBytes();
            calls.at("mmap", calls.calls("mmap") + 2).fails(Errno.ENOMEM);
            assertThatThrownBy(source::arm).hasMessageContaining("mmap").hasMessageContaining("ENOMEM");
            assertThat(calls.mappedBytes()).isEqualTo(mapped);

            source.arm();
            int before = calls.calls("ioctl");
            source.harvest(DirtyBitmap.of(layout));
            assertThat(calls.calls("ioctl") - before).as("logs read").isEqualTo(2);
        }
    }

    private FaultyPosix.Fault nextCall(int number) {
        return calls.at("ioctl", calls.calls("ioctl") + number);
    }
}
