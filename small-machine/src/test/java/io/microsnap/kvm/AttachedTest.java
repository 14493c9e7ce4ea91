package io.microsnap.kvm;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;

import io.microsnap.core.GuestLayout;
import io.microsnap.core.GuestMemory;
import io.microsnap.core.HugePages;
import io.microsnap.core.MachineStateSection;
import io.microsnap.core.Region;
import io.microsnap.core.SnapshotException;
import io.microsnap.core.SnapshotId;
import io.microsnap.core.SnapshotReference;
import io.microsnap.core.internal.file.GuestRam;
import io.microsnap.core.internal.posix.Posix;
import io.microsnap.dirty.DirtyBitmap;
import io.microsnap.dirty.DirtySource;
import io.microsnap.dirty.DirtyTracker;
import io.microsnap.dirty.Epoch;
import io.microsnap.kvm.internal.abi.Numbers;
import io.microsnap.machine.SmallMachine;
import io.microsnap.testsupport.CCompiler;
import java.io.IOException;
import java.lang.foreign.MemorySegment;
import java.lang.foreign.ValueLayout;
import java.util.ArrayList;
import java.util.List;
import java.util.UUID;
import org.assertj.core.api.ThrowableAssert.ThrowingCallable;
import org.junit.jupiter.api.AfterEach;
import org.junit.jupiter.api.BeforeEach;
import org.junit.jupiter.api.Test;

/** A VMM in C in this process owns the VM; we only look, and it notices nothing. */
@KvmTest
class AttachedTest {
    private static final Posix POSIX = Posix.host();
    /** KVM_MEM_READONLY. */
    private static final int READ_ONLY = 2;
    private Vmm vmm;

    @BeforeEach
    void open(CCompiler compiler) {
        vmm = new Vmm(compiler.library(AttachedTest.class, "vmm.c"));
    }

    @AfterEach
    void close() {
        vmm.close();
    }

    @Test
    void theLayoutIsThatOfTheRegionsAndTheAliasIsCountedOnce() throws IOException {
        try (VirtualMachine vm = attach()) {
            assertThat(vm.memory().layout().regions()).containsExactly(
                    new Region(0, 8 << 20), new Region(Vmm.HIGH, 4 << 20));
            assertThat(vm.memorySlots()).extracting(MemorySlot::number).containsExactly(2, 5, 9);
            awaitCounter(1);
            vmm.pause();
            assertThat(vm.memory().mapping(0).get(ValueLayout.JAVA_INT, 0x2000)).isEqualTo((int) vmm.counter());
        }
    }

    @Test
    void aBaseAndTheEpochsMakeTheFinalMemoryAndTheVmmNoticesNothing() throws IOException {
        try (VirtualMachine vm = attach(); DirtyTracker tracker = tracker(vm);
                GuestRam copy = GuestRam.anonymous(POSIX, vm.memory().layout(), HugePages.NONE)) {
            awaitCounter(5000);
            tracker.arm();
            tracker.harvest().commit(published());
            copyAll(vm.memory(), copy);
            long reported = 0;
            for (int round = 0; round < 20; round++) {
                awaitCounter(vmm.counter() + 300);
                Epoch epoch = tracker.harvest();
                reported += epoch.bitmap().count();
                copyRuns(epoch.bitmap(), vm.memory(), copy);
                epoch.commit(published());
            }
            vmm.pause();
            Epoch last = tracker.harvest();
            assertThat(last.unknownBecause()).isEmpty();
            copyRuns(last.bitmap(), vm.memory(), copy);
            assertThat(reported).isPositive();
            assertThat(copy.mapping(0).mismatch(vm.memory().mapping(0))).isEqualTo(-1);
            assertThat(copy.mapping(1).mismatch(vm.memory().mapping(1))).isEqualTo(-1);
            assertThat(isLogging(vmm.slots().getFirst())).isTrue();
        }
        for (MemorySlot slot : vmm.slots()) {
            assertThat(isLogging(slot)).as("%s logs", slot).isFalse();
        }
        long counter = vmm.counter();
        awaitCounter(counter + 1000);
        assertThat(vmm.surprises()).isZero();
    }

    @Test
    void machineStateOfAVmmsVcpuGoesOnInAMachineOfOurOwn() throws Exception {
        awaitCounter(1000);
        vmm.pause();
        try (Kvm kvm = Kvm.open(POSIX); VirtualMachine vm = attach()) {
            MachineState state = MachineState.save(kvm, vm);
            GuestRam copy = GuestRam.anonymous(POSIX, vm.memory().layout(), HugePages.NONE);
            copyAll(vm.memory(), copy);
            int counter = (int) vmm.counter();
            copy.mapping(0).set(ValueLayout.JAVA_INT, 0x2000, 0);
            try (SmallMachine machine = SmallMachine.restore(kvm, copy, state.sections())) {
                // Its alias is elsewhere, but before it gets there the guest has written low memory for a while.
                assertThat(machine.memory().layout()).isEqualTo(vm.memory().layout());
                VirtualMachine ours = machine.vm();
                for (MemorySlot alias : ours.memorySlots()) {
                    if (alias.number() >= 2) {
                        ours.removeAlias(alias);
                    }
                }
                ours.addAlias(new Region(16 << 20, 4 << 20), 8 << 20);
                machine.resume();
                while (copy.mapping(0).get(ValueLayout.JAVA_INT, 0x2000) <= counter) {
                    Thread.onSpinWait();
                }
                machine.pause();
                assertThat(copy.mapping(0).get(ValueLayout.JAVA_INT, 0x2000)).isGreaterThan(counter);
            }
        }
        awaitCounter(vmm.counter() + 1);
        assertThat(vmm.surprises()).isZero();
    }

    @Test
    void aGuestOfAVmmIsOneObjectForCapturesAndTheVmmRunsOnAfterIt() throws IOException {
        try (Kvm kvm = Kvm.open(POSIX); KvmGuest guest = KvmGuest.of(kvm, attach(), threadsOfTheVmm())) {
            guest.tracker().armRelativeTo(published());
            awaitCounter(vmm.counter() + 300);
            guest.pause();
            long counter = vmm.counter();
            assertThat(guest.saveState()).extracting(MachineStateSection::name).contains("kvm.machine");
            Epoch epoch = guest.tracker().harvest();
            assertThat(epoch.unknownBecause()).isEmpty();
            assertThat(epoch.bitmap().test(0x2000)).isTrue();
            epoch.commit(published());
            assertThat(guest.reader().view(0x2000, 4).get(ValueLayout.JAVA_INT, 0)).isEqualTo((int) counter);
            guest.resume();
            awaitCounter(counter + 1);
        }
        awaitCounter(vmm.counter() + 1000);
        assertThat(vmm.surprises()).isZero();
    }

    private VcpuThreads threadsOfTheVmm() {
        return new VcpuThreads() {
            @Override
            public void pause() {
                vmm.pause();
            }

            @Override
            public void resume() {
                vmm.resume();
            }

            @Override
            public void close() {
                // They are the VMM's.
            }
        };
    }

    @Test
    void aSlotTheVmmChangedMakesTheEpochInvalidAndIsNotBroughtBack() throws IOException {
        vmm.pause();
        try (VirtualMachine vm = attach()) {
            try (DirtySource source = vm.openDirtySource()) {
                source.arm();
                vmm.dropAlias(true);
                assertThatThrownBy(() -> source.harvest(DirtyBitmap.of(vm.memory().layout())))
                        .isInstanceOf(IOException.class).hasMessageContaining("slot 2")
                        .hasMessageContaining("removed");
            }
            assertThat(KvmCalls.remove(vm, 2)).as("what the VMM removed is there again").isFalse();
            vmm.dropAlias(false);
            List<MemorySlot> fewer = new ArrayList<>(vmm.slots());
            fewer.removeIf(slot -> slot.number() == 2);
            try (DirtySource source = vm.openDirtySource()) {
                source.arm();
                vm.slotsChanged(fewer);
                assertThatThrownBy(() -> source.harvest(DirtyBitmap.of(vm.memory().layout())))
                        .isInstanceOf(SnapshotException.class).hasMessageContaining("added, moved or removed");
                source.arm();
                source.harvest(DirtyBitmap.of(vm.memory().layout()));
            }
        }
    }

    @Test
    void aSlotThatGrewBehindOurBackIsAFailureAndNotAnOverrun() throws IOException {
        vmm.pause();
        List<MemorySlot> told = new ArrayList<>(vmm.slots());
        try (VirtualMachine vm = attach(); DirtySource source = vm.openDirtySource()) {
            source.arm();
            // KVM's slot is larger than the one we know: the log of the same slot, told to be of a single page.
            MemorySlot large = told.getFirst();
            MemorySlot small = new MemorySlot(large.number(), new Region(0, 4096), large.hostAddress());
            MemorySlots slots = MemorySlots.attached(vm.descriptor(), List.of(small));
            DirtyLogSource wrong = new DirtyLogSource(vm.descriptor(), slots, false);
            assertThatThrownBy(() -> wrong.begin(slots.all())).isInstanceOf(IOException.class)
                    .hasMessageContaining("EFAULT").hasMessageContaining("changed in size");
            wrong.end();
        }
    }

    @Test
    void nothingOfTheVmmsIsChangedThroughUs() throws IOException {
        try (VirtualMachine vm = attach()) {
            assertThatThrownBy(() -> vm.addAlias(new Region(1 << 30, 4096), 0))
                    .isInstanceOf(IllegalStateException.class).hasMessageContaining("belongs to the VMM");
            for (ThrowingCallable change : List.<ThrowingCallable>of(vm::createVcpu, vm::createInterruptChip,
                    vm::createTimer, () -> vm.removeAlias(vm.memorySlots().getLast()))) {
                assertThatThrownBy(change).isInstanceOf(IllegalStateException.class)
                        .hasMessageContaining("belongs to the VMM");
            }
            assertThatThrownBy(() -> vm.vcpus().getFirst().run()).isInstanceOf(IllegalStateException.class)
                    .hasMessageContaining("VMM");
            vm.vcpus().getFirst().interrupt();
            vm.vcpus().getFirst().allowToRun();
        }
        awaitCounter(100);
        assertThat(vmm.surprises()).isZero();
    }

    @Test
    void slotsThatShareAPartOfTheirMemoryAreRefused() {
        MemorySlot first = vmm.slots().getFirst();
        MemorySlot half = new MemorySlot(77, new Region(1L << 40, 8 << 20), first.hostAddress() + (4 << 20));
        assertThatThrownBy(() -> VirtualMachine.attach(
                POSIX, vmm.vmDescriptor(), List.of(), List.of(first, half), DirtyTracking.LOG))
                .isInstanceOf(IllegalArgumentException.class).hasMessageContaining("overlap in memory");
    }

    @Test
    void slotsThatNoVmCanHaveAndTheRingAreRefusedAndNothingOfUsRemains() throws IOException {
        MemorySlot first = vmm.slots().getFirst();
        MemorySlot overlapping = new MemorySlot(77, new Region(4096, 4096), first.hostAddress());
        MemorySlot namesake = new MemorySlot(first.number(), new Region(1L << 40, 4096), first.hostAddress());
        long before = KvmCalls.descriptors();
        assertThatThrownBy(() -> attach(List.of(first, overlapping), List.of()))
                .isInstanceOf(IllegalArgumentException.class).hasMessageContaining("overlaps");
        assertThatThrownBy(() -> attach(List.of(first, namesake), List.of()))
                .isInstanceOf(IllegalArgumentException.class).hasMessageContaining("same number");
        assertThatThrownBy(() -> attach(List.of(first), List.of(vmm.vcpuDescriptor(), 100_000)))
                .isInstanceOf(SnapshotException.class).hasMessageContaining("EBADF");
        assertThatThrownBy(() -> VirtualMachine.attach(
                POSIX, vmm.vmDescriptor(), List.of(), vmm.slots(), DirtyTracking.RING))
                .isInstanceOf(IllegalArgumentException.class).hasMessageContaining("page-map scan");
        assertThat(KvmCalls.descriptors()).as("descriptors").isEqualTo(before);
    }

    @Test
    void theFlagsOfASlotAreKeptAndWhatTheVmmLoggedItGoesOnLogging() throws IOException {
        long half = 1 << 19;
        try (Kvm kvm = Kvm.open(POSIX); VirtualMachine theirs = kvm.createVirtualMachine(DirtyTracking.LOG);
                GuestRam ram = GuestRam.anonymous(
                        POSIX, GuestLayout.ofSingleRegion(4096, 2 * half), HugePages.NONE)) {
            long host = ram.mapping(0).address();
            MemorySlot readOnly = new MemorySlot(0, new Region(0, half), host, READ_ONLY);
            MemorySlot logged = new MemorySlot(1, new Region(half, half), host + half,
                    Numbers.KVM_MEM_LOG_DIRTY_PAGES);
            KvmCalls.register(theirs, readOnly);
            KvmCalls.register(theirs, logged);
            try (VirtualMachine vm = VirtualMachine.attach(POSIX, theirs.descriptor().number(), List.of(),
                    List.of(readOnly, logged), DirtyTracking.LOG)) {
                vm.openDirtySource().arm();
                assertThat(KvmCalls.isLogging(theirs, 0)).isTrue();
            }
            assertThat(KvmCalls.isLogging(theirs, 0)).isFalse();
            assertThat(KvmCalls.isLogging(theirs, 1)).isTrue();
            // KVM changes no slot between the two.
            KvmCalls.register(theirs, readOnly);
        }
    }

    @Test
    void whatIsNoLongerAttachedToIsNoLongerReached() throws IOException {
        VirtualMachine vm = attach();
        MemorySegment mapping = vm.memory().mapping(0);
        vm.close();
        assertThatThrownBy(() -> mapping.get(ValueLayout.JAVA_INT, 0x2000)).isInstanceOf(IllegalStateException.class);
    }

    private boolean isLogging(MemorySlot slot) throws IOException {
        try (VirtualMachine vm = attach()) {
            return KvmCalls.isLogging(vm, slot.number());
        }
    }

    private VirtualMachine attach() throws IOException {
        return attach(vmm.slots(), List.of(vmm.vcpuDescriptor()));
    }

    private VirtualMachine attach(List<MemorySlot> slots, List<Integer> vcpus) throws IOException {
        return VirtualMachine.attach(POSIX, vmm.vmDescriptor(), vcpus, slots, DirtyTracking.LOG);
    }

    private static DirtyTracker tracker(VirtualMachine vm) throws IOException {
        return DirtyTracker.of(vm.memory().layout(), vm.openDirtySource());
    }

    private void awaitCounter(long atLeast) {
        vmm.resume();
        while (vmm.counter() < atLeast) {
            Thread.onSpinWait();
        }
    }

    private static SnapshotReference published() {
        return new SnapshotReference(new SnapshotId("snapshot"), UUID.randomUUID(), 1);
    }

    private static void copyAll(GuestMemory from, GuestMemory to) {
        for (int region = 0; region < from.layout().regions().size(); region++) {
            to.mapping(region).copyFrom(from.mapping(region));
        }
    }

    private static void copyRuns(DirtyBitmap dirty, GuestMemory from, GuestMemory to) throws IOException {
        dirty.runs(0, (offset, length) -> {
            long done = 0;
            while (done < length) {
                int region = from.layout().regionAt(offset + done);
                long at = offset + done - from.layout().imageOffset(region);
                long piece = Math.min(length - done, from.mapping(region).byteSize() - at);
                MemorySegment.copy(from.mapping(region), at, to.mapping(region), at, piece);
                done += piece;
            }
        });
    }
}
