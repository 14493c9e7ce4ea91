package io.microsnap.kvm;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;

import io.microsnap.core.GuestLayout;
import io.microsnap.core.HugePages;
import io.microsnap.core.Region;
import io.microsnap.core.SnapshotException;
import io.microsnap.core.internal.file.GuestRam;
import io.microsnap.core.internal.posix.Descriptor;
import io.microsnap.core.internal.posix.Errno;
import io.microsnap.core.internal.posix.Posix;
import io.microsnap.core.testing.FaultyPosix;
import io.microsnap.dirty.DirtyBitmap;
import io.microsnap.dirty.DirtySource;
import io.microsnap.kvm.internal.abi.Capability;
import io.microsnap.kvm.internal.abi.Request;
import io.microsnap.machine.GuestProgram;
import io.microsnap.machine.Pattern;
import io.microsnap.machine.SmallMachine;
import io.microsnap.machine.SmallMachineSpec;
import io.microsnap.machine.Touch;
import io.microsnap.testsupport.CCompiler;
import io.microsnap.testsupport.ChildProcess;
import io.microsnap.testsupport.ChildProcesses;
import java.io.IOException;
import java.lang.foreign.MemorySegment;
import java.lang.foreign.ValueLayout;
import java.nio.file.AccessDeniedException;
import java.nio.file.Files;
import java.nio.file.NoSuchFileException;
import java.nio.file.Path;
import java.util.List;
import java.util.Map;
import java.util.concurrent.FutureTask;
import java.util.concurrent.atomic.AtomicBoolean;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.EnumSource;

/** Each failure has a message that helps, and leaves nothing behind. */
@KvmTest
class KvmFailuresTest {
    private static final int NO_ACCESS = 0;
    private static final Posix POSIX = Posix.host();
    private static final long PAGE = 4096;
    private static final GuestLayout LAYOUT = GuestLayout.of((int) PAGE,
            List.of(new Region(0, 512 * PAGE), new Region(1L << 32, 512 * PAGE)));

    @Test
    void whereThereIsNoKvmTheMessageSaysHowToGetOne(@TempDir Path directory) {
        assertThatThrownBy(() -> Kvm.open(POSIX, directory.resolve("kvm")))
                .isInstanceOf(NoSuchFileException.class).hasMessageContaining("modprobe");
    }

    @Test
    void whoMayNotUseKvmIsToldTheGroupAndTheCommand() {
        FaultyPosix calls = FaultyPosix.host();
        calls.at("openat", 1).fails(Errno.EACCES);
        assertThatThrownBy(() -> Kvm.open(calls.posix()))
                .isInstanceOf(AccessDeniedException.class)
                .hasMessageContaining("/dev/kvm").hasMessageContaining("usermod -aG kvm")
                .hasMessageContaining("setfacl");
    }

    @Test
    void aFileThatIsNotKvmIsNotTakenForIt(@TempDir Path directory) throws IOException {
        Path file = Files.createFile(directory.resolve("kvm"));
        assertThatThrownBy(() -> Kvm.open(POSIX, file)).isInstanceOf(SnapshotException.class)
                .hasMessageContaining("not of that kind");
    }

    @Test
    void aKernelThatLacksSomethingIsNamedWithIt() throws IOException {
        assertThatThrownBy(() -> Kvm.open(PretendingPosix.answering(Map.of(Capability.KVM_CAP_IMMEDIATE_EXIT, 0))))
                .hasMessageContaining("KVM_CAP_IMMEDIATE_EXIT");
        Posix without = PretendingPosix.answering(Map.of(Capability.KVM_CAP_MANUAL_DIRTY_LOG_PROTECT2, 0,
                Capability.KVM_CAP_DIRTY_LOG_RING_ACQ_REL, 0, Capability.KVM_CAP_DIRTY_LOG_RING, 0));
        try (Kvm kvm = Kvm.open(without)) {
            assertThat(kvm.bestDirtyTracking()).isEqualTo(DirtyTracking.LOG);
            assertThatThrownBy(() -> kvm.createVirtualMachine(DirtyTracking.MANUAL_CLEAR))
                    .hasMessageContaining("KVM_CAP_MANUAL_DIRTY_LOG_PROTECT2").hasMessageContaining("LOG");
            assertThatThrownBy(() -> kvm.createVirtualMachine(DirtyTracking.RING))
                    .hasMessageContaining("KVM_CAP_DIRTY_LOG_RING");
            kvm.createVirtualMachine().close();
        }
    }

    @Test
    void aRingOfAnImpossibleSizeIsRefused() throws IOException {
        try (Kvm kvm = Kvm.open(POSIX)) {
            long before = KvmCalls.descriptors();
            for (int entries : new int[] {0, 1, 1000, 1 << 30}) {
                assertThatThrownBy(() -> kvm.createVirtualMachine(DirtyTracking.RING, entries))
                        .isInstanceOf(IllegalArgumentException.class).hasMessageContaining("power of two");
            }
            assertThat(KvmCalls.descriptors()).as("descriptors").isEqualTo(before);
        }
    }

    @Test
    void slotsThatOverlapOrAreNotOnPagesAreRefused() throws IOException {
        withMemory(vm -> {
            assertThatThrownBy(() -> vm.addAlias(new Region(511 * PAGE, PAGE), 0))
                    .isInstanceOf(IllegalArgumentException.class).hasMessageContaining("overlaps");
            assertThatThrownBy(() -> vm.addAlias(new Region((1L << 30) + 1, PAGE), 0))
                    .isInstanceOf(IllegalArgumentException.class).hasMessageContaining("pages of 4096");
            assertThatThrownBy(() -> vm.addAlias(new Region(1L << 30, PAGE), 17))
                    .isInstanceOf(IllegalArgumentException.class).hasMessageContaining("pages of 4096");
            assertThatThrownBy(() -> vm.addAlias(new Region(1L << 30, 2 * PAGE), 511 * PAGE))
                    .isInstanceOf(IllegalArgumentException.class).hasMessageContaining("end of its region");
            assertThat(vm.memorySlots()).hasSize(2);
            assertThatThrownBy(() -> vm.removeAlias(vm.memorySlots().getFirst()))
                    .isInstanceOf(IllegalArgumentException.class).hasMessageContaining("region");
        });
    }

    @Test
    void noMoreSlotsAreRegisteredThanKvmAllows() throws IOException {
        Posix three = PretendingPosix.answering(Map.of(Capability.KVM_CAP_NR_MEMSLOTS, 3));
        try (Kvm kvm = Kvm.open(three); GuestRam memory = GuestRam.anonymous(POSIX, LAYOUT, HugePages.NONE);
                VirtualMachine vm = kvm.createVirtualMachine()) {
            vm.register(memory);
            vm.addAlias(new Region(1L << 30, PAGE), 0);
            assertThatThrownBy(() -> vm.addAlias(new Region(2L << 30, PAGE), 0)).hasMessageContaining("3 memory slots");
        }
    }

    @Test
    void aSlotThatCannotBeRegisteredTakesTheOthersWithIt() throws IOException {
        FaultyPosix calls = FaultyPosix.host();
        try (Kvm kvm = Kvm.open(calls.posix()); GuestRam memory = GuestRam.anonymous(POSIX, LAYOUT, HugePages.NONE);
                VirtualMachine vm = kvm.createVirtualMachine()) {
            // KVM is asked once how many there may be, then given one after the other.
            calls.at("ioctl", calls.calls("ioctl") + 3).fails(Errno.ENOMEM);
            assertThatThrownBy(() -> vm.register(memory)).hasMessageContaining("KVM_SET_USER_MEMORY_REGION")
                    .hasMessageContaining("slot 1").hasMessageContaining("ENOMEM");
            assertThat(KvmCalls.remove(vm, 0)).as("the first slot is still there").isFalse();
            vm.register(memory);
            assertThat(vm.memorySlots()).hasSize(2);
            assertThatThrownBy(() -> vm.register(memory)).isInstanceOf(IllegalStateException.class)
                    .hasMessageContaining("already");
        }
    }

    @Test
    void noMoreVcpusAreMadeThanKvmAllows() throws IOException {
        Posix one = PretendingPosix.answering(Map.of(Capability.KVM_CAP_MAX_VCPUS, 1));
        try (Kvm kvm = Kvm.open(one); VirtualMachine vm = kvm.createVirtualMachine()) {
            vm.createVcpu();
            assertThatThrownBy(vm::createVcpu).hasMessageContaining("1 vCPUs");
        }
    }

    @Test
    void aDescriptorOfAnotherProcessIsRefusedWithTheWayOut(CCompiler compiler, ChildProcesses processes)
            throws IOException {
        ChildProcess vmm = processes.command(compiler.program(KvmFailuresTest.class, "foreign.c").toString());
        int number = Integer.parseInt(vmm.awaitLine("vm ").substring("vm ".length()));
        try (Descriptor theirs = Descriptor.ofProcess(POSIX, vmm.pid(), number, "their VM")) {
            assertThatThrownBy(() -> VirtualMachine.attach(POSIX, theirs.number(), List.of(),
                    List.of(new MemorySlot(0, new Region(0, PAGE), PAGE)), DirtyTracking.LOG))
                    .isInstanceOf(SnapshotException.class).hasMessageContaining("EIO")
                    .hasMessageContaining("another process").hasMessageContaining("page-map scan");
        }
    }

    @Test
    void aDescriptorThatIsClosedOrOfSomethingElseIsRefused(@TempDir Path directory) throws IOException {
        List<MemorySlot> slots = List.of(new MemorySlot(0, new Region(0, PAGE), PAGE));
        assertThatThrownBy(() -> VirtualMachine.attach(POSIX, 100_000, List.of(), slots, DirtyTracking.LOG))
                .isInstanceOf(SnapshotException.class).hasMessageContaining("EBADF");
        try (Descriptor file = Descriptor.open(POSIX, Files.createFile(directory.resolve("file")),
                POSIX.constants().O_RDWR, 0)) {
            assertThatThrownBy(() -> VirtualMachine.attach(POSIX, file.number(), List.of(), slots, DirtyTracking.LOG))
                    .isInstanceOf(SnapshotException.class).hasMessageContaining("not of that kind");
        }
    }

    @ParameterizedTest
    @EnumSource(DirtyTracking.class)
    void aSlotAddedOrRemovedWhileItIsWatchedMakesTheEpochInvalid(DirtyTracking tracking) throws Exception {
        SmallMachineSpec spec = SmallMachineSpec.ofRam(8 << 20).withTracking(tracking);
        try (Kvm kvm = Kvm.open(POSIX); SmallMachine machine = SmallMachine.create(kvm, spec);
                DirtySource source = machine.openDirtySource()) {
            DirtyBitmap bitmap = DirtyBitmap.of(spec.layout());
            source.arm();
            MemorySlot alias = machine.vm().addAlias(new Region(1L << 30, 1 << 20), 0);
            assertThatThrownBy(() -> source.harvest(bitmap)).isInstanceOf(SnapshotException.class)
                    .hasMessageContaining("slots").hasMessageContaining(source.name());
            source.arm();
            source.harvest(bitmap);
            assertThat(bitmap.isEmpty()).isTrue();
            machine.vm().removeAlias(alias);
            assertThatThrownBy(() -> source.harvest(bitmap)).isInstanceOf(SnapshotException.class);
            source.arm();
            assertThat(KvmCalls.remove(machine.vm(), alias.number())).as("the alias is there again").isFalse();
            machine.load(0, GuestProgram.count());
            machine.resume();
            while (machine.counter(0) < 10) {
                Thread.onSpinWait();
            }
            machine.pause();
            source.harvest(bitmap);
            assertThat(bitmap.count()).as("the counter's page").isEqualTo(1);
        }
    }

    @Test
    void whatARingNamesOfASlotThatIsGoneIsTakenForNoOtherPageAndTheVcpuGoesOn() throws Exception {
        SmallMachineSpec spec = SmallMachineSpec.ofRam(8 << 20).withTracking(DirtyTracking.RING);
        try (Kvm kvm = Kvm.open(POSIX); SmallMachine machine = SmallMachine.create(kvm, spec);
                DirtySource source = machine.openDirtySource()) {
            VirtualMachine vm = machine.vm();
            source.arm();
            MemorySlot alias = vm.addAlias(new Region(1L << 30, 1 << 20), 7 << 20);
            source.arm();
            touch(machine, alias.guest());
            DirtyBitmap bitmap = DirtyBitmap.of(spec.layout());
            source.harvest(bitmap);
            assertThat(bitmap.count()).as("the alias, and the counter").isEqualTo(256 + 1);
            assertThat(bitmap.test((8 << 20) - PAGE)).isTrue();
            touch(machine, alias.guest());
            vm.removeAlias(alias);
            MemorySlot smaller = vm.addAlias(new Region(1L << 30, PAGE), (8 << 20) - PAGE);
            assertThat(smaller.number()).isEqualTo(alias.number());
            vm.dirtyRingFull();
            // As if the slot had been removed just after the harvest looked.
            assertThatThrownBy(() -> ((DirtyRingSource) source).collect(DirtyBitmap.of(spec.layout())))
                    .isInstanceOf(SnapshotException.class).hasMessageContaining("page 255 of slot 1")
                    .hasMessageContaining("removed while it was watched");
            source.arm();
            bitmap = DirtyBitmap.of(spec.layout());
            source.harvest(bitmap);
            assertThat(bitmap.isEmpty()).isTrue();
        }
    }

    /** Has the guest write every page of a range of its addresses. */
    private static void touch(SmallMachine machine, Region pages) throws Exception {
        machine.load(0, GuestProgram.touch(
                new Touch(pages, Pattern.SEQUENTIAL, 0, (int) (pages.lengthBytes() / PAGE), 1)));
        machine.resume();
        machine.awaitFinish();
        machine.pause();
    }

    @Test
    void aHarvestThatFailsSaysWhichSlotAndCanBeArmedAgain() throws IOException {
        FaultyPosix calls = FaultyPosix.host();
        try (Kvm kvm = Kvm.open(calls.posix()); GuestRam memory = GuestRam.anonymous(POSIX, LAYOUT, HugePages.NONE);
                VirtualMachine vm = kvm.createVirtualMachine(DirtyTracking.LOG)) {
            vm.register(memory);
            DirtySource source = vm.openDirtySource();
            source.arm();
            calls.at("ioctl", calls.calls("ioctl") + 2).fails(Errno.EFAULT);
            assertThatThrownBy(() -> source.harvest(DirtyBitmap.of(LAYOUT)))
                    .hasMessageContaining("KVM_GET_DIRTY_LOG").hasMessageContaining("slot 1")
                    .hasMessageContaining("EFAULT");
            source.arm();
            source.harvest(DirtyBitmap.of(LAYOUT));
        }
    }

    @Test
    void armingThatFailsHalfWayLeavesNoSlotLogging() throws IOException {
        FaultyPosix calls = FaultyPosix.host();
        try (Kvm kvm = Kvm.open(calls.posix()); GuestRam memory = GuestRam.anonymous(POSIX, LAYOUT, HugePages.NONE);
                VirtualMachine vm = kvm.createVirtualMachine(DirtyTracking.LOG)) {
            vm.register(memory);
            DirtySource source = vm.openDirtySource();
            calls.at("ioctl", calls.calls("ioctl") + 2).fails(Errno.ENOMEM);
            assertThatThrownBy(source::arm).hasMessageContaining("slot 1").hasMessageContaining("ENOMEM");
            assertThatThrownBy(() -> source.harvest(DirtyBitmap.of(LAYOUT))).isInstanceOf(IllegalStateException.class);
            assertThat(KvmCalls.isLogging(vm, 0)).isFalse();
            source.arm();
            assertThat(KvmCalls.isLogging(vm, 0)).isTrue();
            source.disarm();
            assertThat(KvmCalls.isLogging(vm, 0)).isFalse();
        }
    }

    @Test
    void aVmHasOneDirtySourceAtATimeAndClosesItItself() throws IOException {
        withMemory(vm -> {
            assertThatThrownBy(vm::dirtyRingFull).isInstanceOf(IllegalStateException.class)
                    .hasMessageContaining("no dirty rings");
            DirtySource first = vm.openDirtySource();
            assertThatThrownBy(vm::openDirtySource).isInstanceOf(IllegalStateException.class)
                    .hasMessageContaining("close it first");
            first.close();
            DirtySource second = vm.openDirtySource();
            second.arm();
            vm.close();
            assertThatThrownBy(second::arm).isInstanceOf(IllegalStateException.class);
            second.close();
            assertThatThrownBy(vm::openDirtySource).isInstanceOf(IllegalStateException.class)
                    .hasMessageContaining("closed");
        });
    }

    @Test
    void theMemoryOfAClosedVmStaysItsOwners() throws IOException {
        try (Kvm kvm = Kvm.open(POSIX); GuestRam memory = GuestRam.anonymous(POSIX, LAYOUT, HugePages.NONE)) {
            VirtualMachine vm = kvm.createVirtualMachine();
            vm.register(memory);
            vm.close();
            assertThat(memory.mapping(1).get(ValueLayout.JAVA_INT, 0)).isZero();
        }
    }

    @Test
    void aVcpuIsFreedOnlyWhenItHasLeftTheGuest() throws Exception {
        FaultyPosix calls = FaultyPosix.host();
        try (Kvm kvm = Kvm.open(calls.posix()); GuestRam memory = GuestRam.anonymous(POSIX, LAYOUT, HugePages.NONE);
                VirtualMachine vm = kvm.createVirtualMachine()) {
            vm.register(memory);
            Vcpu vcpu = vm.createVcpu();
            FutureTask<Boolean> closing = new FutureTask<>(() -> {
                Thread.currentThread().interrupt();
                vcpu.close();
                return Thread.interrupted();
            });
            Thread closer = new Thread(closing);
            AtomicBoolean waited = new AtomicBoolean();
            calls.after((call, result) -> {
                if (call.name().equals("ioctl") && call.arguments().contains(Request.KVM_RUN.number())) {
                    assertThatThrownBy(vcpu::run).isInstanceOf(IllegalStateException.class)
                            .hasMessageContaining("is running");
                    closer.start();
                    while (closer.getState() != Thread.State.WAITING && !closing.isDone()) {
                        Thread.onSpinWait();
                    }
                    waited.set(!closing.isDone());
                }
            });
            vcpu.run();
            assertThat(closing.get()).as("its interruption is not lost").isTrue();
            assertThat(waited).isTrue();
        }
    }

    @Test
    void closingInAnyOrderAndTwiceHarmsNothing() throws Exception {
        for (int order = 0; order < 6; order++) {
            Kvm kvm = Kvm.open(POSIX);
            GuestRam memory = GuestRam.anonymous(POSIX, LAYOUT, HugePages.NONE);
            VirtualMachine vm = kvm.createVirtualMachine(DirtyTracking.RING);
            vm.register(memory);
            Vcpu vcpu = vm.createVcpu();
            DirtySource source = vm.openDirtySource();
            source.arm();
            List<AutoCloseable> parts = switch (order) {
                case 0 -> List.of(kvm, memory, vm, vcpu, source);
                case 1 -> List.of(vcpu, vm, source, memory, kvm);
                case 2 -> List.of(source, vcpu, memory, kvm, vm);
                case 3 -> List.of(memory, source, kvm, vcpu, vm);
                case 4 -> List.of(vm, kvm, source, vcpu, memory);
                default -> List.of(vcpu, memory, source, vm, kvm);
            };
            for (AutoCloseable part : parts) {
                part.close();
                part.close();
            }
            assertThatThrownBy(vcpu::run).isInstanceOf(IllegalStateException.class).hasMessageContaining("closed");
            vcpu.interrupt();
            assertThatThrownBy(vcpu::allowToRun).isInstanceOf(IllegalStateException.class)
                    .hasMessage("vCPU 0 is closed");
            assertThatThrownBy(vm::createVcpu).isInstanceOf(IllegalStateException.class);
        }
    }

    @Test
    void aGuestWhoseMemoryWentAwayFailsWithAnException() throws Exception {
        SmallMachineSpec spec = SmallMachineSpec.ofRam(4 << 20);
        GuestRam memory = GuestRam.anonymous(POSIX, spec.layout(), HugePages.NONE);
        try (memory; Kvm kvm = Kvm.open(POSIX); SmallMachine machine = SmallMachine.create(kvm, spec, memory)) {
            machine.load(0, GuestProgram.count());
            MemorySegment mapping = memory.mapping(0);
            assertThat(POSIX.mprotect(mapping.address(), mapping.byteSize(), NO_ACCESS)).isZero();
            machine.resume();
            assertThatThrownBy(machine::awaitFinish).isInstanceOf(IOException.class).hasMessageContaining("vCPU 0");
        }
    }

    private interface Use {
        void of(VirtualMachine vm) throws IOException;
    }

    private static void withMemory(Use use) throws IOException {
        try (Kvm kvm = Kvm.open(POSIX); GuestRam memory = GuestRam.anonymous(POSIX, LAYOUT, HugePages.NONE);
                VirtualMachine vm = kvm.createVirtualMachine()) {
            vm.register(memory);
            use.of(vm);
        }
    }
}
