package io.microsnap.kvm;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;

import io.microsnap.core.GuestLayout;
import io.microsnap.core.HugePages;
import io.microsnap.core.MachineStateSection;
import io.microsnap.core.PausableMachine;
import io.microsnap.core.Region;
import io.microsnap.core.SnapshotException;
import io.microsnap.core.SnapshotId;
import io.microsnap.core.internal.file.GuestRam;
import io.microsnap.core.internal.file.Pages;
import io.microsnap.core.internal.posix.Constants;
import io.microsnap.core.internal.posix.Errno;
import io.microsnap.core.internal.posix.Posix;
import io.microsnap.core.testing.FaultyPosix;
import io.microsnap.dirty.DirtyTracker;
import io.microsnap.machine.GuestProgram;
import io.microsnap.machine.Pattern;
import io.microsnap.machine.SmallMachine;
import io.microsnap.machine.SmallMachineSpec;
import io.microsnap.machine.Touch;
import io.microsnap.memory.Capture;
import io.microsnap.memory.PreparedCapture;
import io.microsnap.store.StoreOptions;
import io.microsnap.store.internal.DirectoryStore;
import java.io.IOException;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.List;
import org.junit.jupiter.api.AfterEach;
import org.junit.jupiter.api.BeforeEach;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;

/** Memory that goes away under a VM, or under an attachment to one, kills no process and damages no guest. */
@KvmTest
class LostMemoryTest {
    private static final Posix POSIX = Posix.host();
    private static final Constants CONSTANTS = POSIX.constants();
    private static final long MIB = 1 << 20;

    private final List<Long> mapped = new ArrayList<>();
    private final List<String> asked = new ArrayList<>();
    private Kvm kvm;
    private VirtualMachine theirs;
    private List<MemorySlot> slots;
    private DirectoryStore store;

    @BeforeEach
    void aVmmWithTwoRegions(@TempDir Path directory) throws IOException {
        kvm = Kvm.open(POSIX);
        theirs = kvm.createVirtualMachine(DirtyTracking.LOG);
        slots = List.of(new MemorySlot(0, new Region(0, MIB), map()),
                new MemorySlot(1, new Region(1L << 32, MIB), map()));
        for (MemorySlot slot : slots) {
            KvmCalls.register(theirs, slot);
        }
        store = DirectoryStore.openOrCreate(POSIX, directory.resolve("store"), StoreOptions.PRIVATE);
    }

    @AfterEach
    void close() throws IOException {
        store.close();
        theirs.close();
        kvm.close();
        mapped.forEach(address -> POSIX.munmap(address, MIB));
    }

    @Test
    void afterASlotWasRemovedACaptureIsRefusedBeforeAnythingIsPausedOrRead() throws IOException {
        try (VirtualMachine vm = attach(); DirtyTracker tracker = tracker(vm)) {
            Capture.of(store, new SnapshotId("first"), vm.memory().reader()).tracker(tracker)
                    .take(machine());
            asked.clear();
            vm.slotsChanged(slots.subList(0, 1));
            unmap(slots.get(1));

            assertThatThrownBy(() -> Capture.of(store, new SnapshotId("second"), vm.memory().reader())
                    .tracker(tracker).take(machine())).isInstanceOf(SnapshotException.class)
                    .hasMessageContaining("removed a slot").hasMessageContaining("slot 1")
                    .hasMessageContaining("attach again");
            assertThat(asked).isEmpty();
            assertThatThrownBy(() -> vm.memory().mapping(1)).isInstanceOf(IllegalStateException.class)
                    .hasMessageContaining("attach again");
        }
        try (VirtualMachine vm = attach(slots.subList(0, 1)); DirtyTracker tracker = tracker(vm)) {
            Capture.of(store, new SnapshotId("third"), vm.memory().reader()).tracker(tracker)
                    .take(machine());
        }
        assertThat(store.list()).hasSize(2);
    }

    @Test
    void aSlotThatShrankOrMovedLosesItsRegionToo() throws IOException {
        MemorySlot high = slots.get(1);
        MemorySlot shrunk = new MemorySlot(1, new Region(1L << 32, MIB / 2), high.hostAddress());
        MemorySlot second = new MemorySlot(2, new Region((1L << 32) + MIB / 2, MIB / 2), high.hostAddress() + MIB / 2);
        MemorySlot elsewhere = new MemorySlot(1, high.guest(), map());
        try (VirtualMachine vm = attach()) {
            vm.slotsChanged(List.of(slots.getFirst(), shrunk));
            assertThatThrownBy(vm.memory()::requireMapped).isInstanceOf(SnapshotException.class)
                    .hasMessageContaining("attach again");
            vm.slotsChanged(List.of(second, slots.getFirst(), shrunk));
            vm.memory().requireMapped();
            assertThatThrownBy(() -> vm.slotsChanged(List.of(slots.getFirst(), elsewhere)))
                    .isInstanceOf(IllegalArgumentException.class).hasMessageContaining("not attached");
            assertThatThrownBy(vm.memory()::requireMapped).isInstanceOf(SnapshotException.class)
                    .hasMessageContaining("not attached").hasMessageContaining("attach again");
            vm.slotsChanged(slots);
            vm.memory().requireMapped();
        }
    }

    @Test
    void memoryUnmappedWithoutAWordFailsTheCaptureWhichResumesTheMachine() throws IOException {
        try (VirtualMachine vm = attach(); DirtyTracker tracker = tracker(vm);
                PreparedCapture prepared = Capture.of(store, new SnapshotId("only"),
                        vm.memory().reader()).tracker(tracker).prepare()) {
            unmap(slots.get(1));
            assertThatThrownBy(() -> prepared.capture(machine())).isInstanceOf(SnapshotException.class)
                    .hasMessageContaining("slot 1").hasMessageContaining("no longer mapped")
                    .hasMessageContaining("attach again");
            assertThat(asked).containsExactly("pause", "resume");
        }
        assertThat(store.list()).isEmpty();
    }

    @Test
    void memoryClosedUnderARunningGuestStaysItsOwnUntilTheVmIsClosed() throws Exception {
        FaultyPosix calls = FaultyPosix.host();
        SmallMachineSpec spec = SmallMachineSpec.ofRam(8 * MIB);
        GuestRam memory = GuestRam.anonymous(calls.posix(), spec.layout(), HugePages.NONE);
        long address = memory.mapping(0).address();
        try (SmallMachine machine = SmallMachine.create(kvm, spec, memory)) {
            machine.load(0, GuestProgram.touch(new Touch(new Region(2 * MIB, 6 * MIB), Pattern.RANDOM, 7, 1000, 3)));
            memory.close();
            try (GuestRam sibling = GuestRam.anonymous(POSIX, spec.layout(), HugePages.NONE)) {
                assertThat(sibling.mapping(0).address()).isNotEqualTo(address);
                machine.resume();
                machine.awaitFinish();
                assertThat(Pages.isZero(sibling.mapping(0), 0, 8 * MIB)).isTrue();
            }
            assertThat(calls.calls("munmap")).isZero();
        }
        assertThat(calls.calls("munmap")).isEqualTo(1);
        assertThat(calls.mappedBytes()).isZero();
    }

    @Test
    void whenAVmIsClosedNobodyWhoStillHasItOpenReachesItsMemory() throws IOException {
        GuestLayout layout = GuestLayout.ofSingleRegion(4096, MIB);
        try (GuestRam memory = GuestRam.anonymous(POSIX, layout, HugePages.NONE)) {
            VirtualMachine ours = kvm.createVirtualMachine(DirtyTracking.LOG);
            ours.register(memory);
            MemorySlot slot = ours.memorySlots().getFirst();
            try (VirtualMachine kept = VirtualMachine.attach(POSIX, ours.descriptor().number(), List.of(),
                    List.of(slot), DirtyTracking.LOG)) {
                ours.close();
                assertThat(KvmCalls.remove(kept, slot.number())).as("the slot is there still").isFalse();
            }
        }
    }

    @Test
    void memoryThatCouldNotBeRegisteredIsNotHeld() throws IOException {
        FaultyPosix calls = FaultyPosix.host();
        FaultyPosix memoryCalls = FaultyPosix.host();
        GuestLayout layout = GuestLayout.ofSingleRegion(4096, MIB);
        GuestRam memory = GuestRam.anonymous(memoryCalls.posix(), layout, HugePages.NONE);
        try (Kvm faulty = Kvm.open(calls.posix());
                VirtualMachine ours = faulty.createVirtualMachine(DirtyTracking.LOG)) {
            calls.at("ioctl", calls.calls("ioctl") + 1).fails(Errno.EIO);
            assertThatThrownBy(() -> ours.register(memory)).isInstanceOf(IOException.class);
            memory.close();
            assertThat(memoryCalls.mappedBytes()).isZero();
            assertThatThrownBy(() -> ours.register(memory)).isInstanceOf(IllegalStateException.class)
                    .hasMessageContaining("closed");
        }
    }

    @Test
    void whereSlotsCannotBeTakenAwayTheMemoryStaysMapped() throws IOException {
        FaultyPosix calls = FaultyPosix.host();
        FaultyPosix memoryCalls = FaultyPosix.host();
        GuestLayout layout = GuestLayout.ofSingleRegion(4096, MIB);
        try (Kvm faulty = Kvm.open(calls.posix())) {
            VirtualMachine ours = faulty.createVirtualMachine(DirtyTracking.LOG);
            GuestRam memory = GuestRam.anonymous(memoryCalls.posix(), layout, HugePages.NONE);
            ours.register(memory);
            memory.close();
            calls.at("ioctl", calls.calls("ioctl") + 1).fails(Errno.EIO);
            assertThatThrownBy(ours::close).isInstanceOf(IOException.class)
                    .hasMessageContaining("KVM_SET_USER_MEMORY_REGION");
            assertThat(memoryCalls.calls("munmap")).isZero();
        }
        assertThat(calls.openDescriptors()).isEmpty();
    }

    private VirtualMachine attach() throws IOException {
        return attach(slots);
    }

    private VirtualMachine attach(List<MemorySlot> shown) throws IOException {
        return VirtualMachine.attach(POSIX, theirs.descriptor().number(), List.of(), shown, DirtyTracking.LOG);
    }

    private static DirtyTracker tracker(VirtualMachine vm) throws IOException {
        return DirtyTracker.of(vm.memory().layout(), vm.openDirtySource());
    }

    private PausableMachine machine() {
        return new PausableMachine() {
            @Override
            public void pause() {
                asked.add("pause");
            }

            @Override
            public List<MachineStateSection> saveState() {
                return List.of();
            }

            @Override
            public void resume() {
                asked.add("resume");
            }
        };
    }

    private long map() {
        long address = POSIX.mmap(0, MIB, CONSTANTS.PROT_READ | CONSTANTS.PROT_WRITE,
                CONSTANTS.MAP_PRIVATE | CONSTANTS.MAP_ANONYMOUS, -1, 0);
        assertThat(address).isPositive();
        mapped.add(address);
        return address;
    }

    private void unmap(MemorySlot slot) {
        assertThat(POSIX.munmap(slot.hostAddress(), MIB)).isZero();
        mapped.remove(slot.hostAddress());
    }
}
