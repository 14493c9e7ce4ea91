package io.microsnap.machine;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;

import io.microsnap.core.GuestLayout;
import io.microsnap.core.GuestMemory;
import io.microsnap.core.HugePages;
import io.microsnap.core.IncompatibleStateException;
import io.microsnap.core.MachineStateSection;
import io.microsnap.core.SnapshotId;
import io.microsnap.core.SnapshotReference;
import io.microsnap.core.internal.file.GuestRam;
import io.microsnap.core.internal.posix.Posix;
import io.microsnap.dirty.DirtySource;
import io.microsnap.dirty.DirtyTracker;
import io.microsnap.dirty.Epoch;
import io.microsnap.dirty.RestoredMachine;
import io.microsnap.kvm.DirtyTracking;
import io.microsnap.kvm.Kvm;
import io.microsnap.kvm.KvmGuest;
import io.microsnap.kvm.KvmTest;
import io.microsnap.kvm.MachineSpec;
import io.microsnap.kvm.Vcpu;
import io.microsnap.kvm.VcpuThreads;
import io.microsnap.kvm.VirtualMachine;
import io.microsnap.memory.Capture;
import io.microsnap.memory.CaptureKind;
import io.microsnap.memory.CaptureResult;
import io.microsnap.memory.Restore;
import io.microsnap.memory.RestoreEngine;
import io.microsnap.memory.RestoredSnapshot;
import io.microsnap.store.StoreOptions;
import io.microsnap.store.internal.DirectoryStore;
import java.io.IOException;
import java.lang.foreign.MemorySegment;
import java.lang.foreign.ValueLayout;
import java.nio.ByteBuffer;
import java.nio.ByteOrder;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.List;
import java.util.UUID;
import java.util.concurrent.atomic.AtomicReference;
import java.util.stream.Stream;
import org.junit.jupiter.api.AfterEach;
import org.junit.jupiter.api.BeforeEach;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;

/** A guest in one object: what a capture asks of it, and the ends it may come to. */
@KvmTest
class KvmGuestTest {
    private static final SnapshotReference SNAPSHOT =
            new SnapshotReference(new SnapshotId("base"), new UUID(1, 2), 3);
    private static final SnapshotId READY = new SnapshotId("ready");
    private static final int PAGE = 4096;
    private static final GuestLayout LAYOUT = GuestLayout.ofSingleRegion(PAGE, 4 << 20);
    private static final MachineSpec SPEC = MachineSpec.ofVcpus(2);
    private static final long CODE = 0x1000;
    private static final long COUNTER = 0x10000;
    private static final int CPUID_ENTRIES = 8;
    private static final int CPUID_ENTRY_BYTES = 40;
    private static final int CPUID_EBX = 16;
    private static final long UNTOUCHED = 0x200000;

    @TempDir
    private Path directory;
    private Kvm kvm;

    @BeforeEach
    void open() throws IOException {
        kvm = Kvm.open();
    }

    @AfterEach
    void close() throws IOException {
        kvm.close();
    }

    /** The threads of a VM manager that does nothing but run its vCPUs. */
    private static final class Threads implements VcpuThreads {
        private final List<VcpuThread> all = new ArrayList<>();
        private int closed;

        Threads(VirtualMachine vm) {
            vm.vcpus().forEach(vcpu -> all.add(new VcpuThread(vm, vcpu, true)));
        }

        @Override
        public void pause() throws IOException {
            all.forEach(VcpuThread::requestPause);
            all.forEach(VcpuThread::awaitPause);
        }

        @Override
        public void resume() throws IOException {
            for (VcpuThread thread : all) {
                thread.resume();
            }
        }

        @Override
        public void close() throws IOException {
            all.forEach(VcpuThread::close);
            closed++;
        }
    }

    private KvmGuest counting(MachineSpec spec) throws IOException {
        KvmGuest guest = KvmGuest.create(kvm, spec, LAYOUT, Threads::new);
        load(guest);
        return guest;
    }

    /** Each vCPU counts in a page of its own. */
    private static void load(KvmGuest guest) throws IOException {
        for (Vcpu vcpu : guest.vcpus()) {
            long at = CODE + (long) vcpu.index() * PAGE;
            byte[] code = GuestProgram.count().assemble((int) counterOf(vcpu.index()));
            MemorySegment.copy(code, 0, guest.memory().mapping(0), ValueLayout.JAVA_BYTE, at, code.length);
            SmallMachine.begin(vcpu, at);
        }
    }

    private static long counterOf(int vcpu) {
        return COUNTER + (long) vcpu * PAGE;
    }

    private static int counted(GuestMemory memory, int vcpu) {
        return (int) ValueLayout.JAVA_INT.varHandle().getVolatile(memory.mapping(0), counterOf(vcpu));
    }

    private static void awaitMore(KvmGuest guest) {
        for (int vcpu = 0; vcpu < SPEC.vcpus(); vcpu++) {
            int before = counted(guest.memory(), vcpu);
            while (counted(guest.memory(), vcpu) == before) {
                Thread.onSpinWait();
            }
        }
    }

    private DirectoryStore store() throws IOException {
        return DirectoryStore.openOrCreate(Posix.host(), directory.resolve("store"), StoreOptions.PRIVATE);
    }

    @Test
    void itStandsStillBetweenPauseAndResumeAndTellsWhatItWrote() throws IOException {
        try (KvmGuest guest = counting(SPEC)) {
            guest.tracker().armRelativeTo(SNAPSHOT);
            guest.resume();
            awaitMore(guest);
            guest.pause();
            int first = counted(guest.memory(), 0);
            assertThat(guest.saveState()).extracting(MachineStateSection::name).contains("kvm.machine");
            Epoch epoch = guest.tracker().harvest();
            assertThat(epoch.relativeTo()).contains(SNAPSHOT);
            assertThat(epoch.bitmap().test(counterOf(0))).isTrue();
            assertThat(epoch.bitmap().test(counterOf(1))).isTrue();
            assertThat(epoch.bitmap().test(UNTOUCHED)).isFalse();
            assertThat(counted(guest.memory(), 0)).isEqualTo(first);
            assertThat(guest.reader().view(0, 8).address()).isEqualTo(guest.memory().mapping(0).address());
            epoch.commit(SNAPSHOT);
            guest.resume();
            awaitMore(guest);
        }
    }

    @Test
    void theSpecSaysChipsAndTracking() throws IOException {
        try (KvmGuest guest = counting(SPEC.withInterruptChip().withTracking(DirtyTracking.LOG))) {
            assertThat(guest.vm().tracking()).isEqualTo(DirtyTracking.LOG);
            assertThat(guest.saveState()).extracting(MachineStateSection::name)
                    .contains("kvm.ioapic", "kvm.timer");
        }
    }

    @Test
    void itsOwnMemoryEndsWithIt() throws IOException {
        KvmGuest guest = counting(SPEC);
        MemorySegment mapping = guest.memory().mapping(0);
        guest.close();
        guest.close();
        assertThatThrownBy(() -> mapping.get(ValueLayout.JAVA_BYTE, 0)).isInstanceOf(IllegalStateException.class);
        assertThatThrownBy(guest::saveState).isInstanceOf(IllegalStateException.class);
    }

    @Test
    void otherMemoryStaysItsOwners() throws IOException {
        try (GuestRam memory = GuestRam.anonymous(Posix.host(), LAYOUT, HugePages.NONE)) {
            KvmGuest.create(kvm, SPEC, memory, Threads::new).close();
            assertThat(memory.mapping(0).get(ValueLayout.JAVA_BYTE, 0)).isZero();
        }
    }

    @Test
    void aRestoredOneGoesOnAndItsFirstEpochIsRelativeToTheSnapshot() throws IOException {
        try (DirectoryStore store = store()) {
            CaptureResult baked;
            try (KvmGuest guest = counting(SPEC.withInterruptChip())) {
                guest.resume();
                awaitMore(guest);
                baked = Capture.of(store, READY, guest.reader()).tracker(guest.tracker()).take(guest);
                awaitMore(guest);
            }
            assertThat(baked.kind()).isEqualTo(CaptureKind.FULL);
            try (RestoredSnapshot restored = Restore.of(store, READY).restore(RestoreEngine.LAZY);
                    KvmGuest guest = KvmGuest.restored(kvm, restored, Threads::new)) {
                assertThat(guest.memory()).isSameAs(restored.memory());
                assertThat(guest.vcpus()).hasSize(2);
                int before = counted(guest.memory(), 0);
                assertThat(before).isPositive();
                guest.resume();
                awaitMore(guest);
                CaptureResult later = Capture.of(store, new SnapshotId("later"), guest.reader())
                        .tracker(guest.tracker()).kind(CaptureKind.DIFF).take(guest);
                assertThat(later.memory().pagesRecorded()).isEqualTo(SPEC.vcpus());
                assertThat(later.manifest().parent()).contains(baked.reference());
                guest.pause();
                assertThat(counted(guest.memory(), 0)).isGreaterThan(before);
            }
        }
    }

    @Test
    void aSmallMachineIsAGuestAndSoIsOneThatWasRestored() throws IOException {
        SmallMachineSpec spec = SmallMachineSpec.ofRam(4 << 20);
        try (DirectoryStore store = store()) {
            try (SmallMachine machine = SmallMachine.create(kvm, spec); KvmGuest guest = machine.guest()) {
                machine.load(0, GuestProgram.count());
                guest.resume();
                Capture.of(store, READY, guest.reader()).tracker(guest.tracker()).take(guest);
                assertThat(machine.isRunning(0)).isTrue();
            }
            try (RestoredSnapshot restored = Restore.of(store, READY).restore(RestoreEngine.EAGER);
                    SmallMachine machine = SmallMachine.restore(kvm, restored.memory(), restored.machineState());
                    KvmGuest guest = machine.guest(restored)) {
                Epoch epoch = guest.tracker().harvest();
                assertThat(epoch.relativeTo()).contains(restored.reference());
                epoch.close();
            }
        }
    }

    @Test
    void aStartThatFailsLeavesNothingButTheCallersMemory() throws IOException {
        AtomicReference<VirtualMachine> made = new AtomicReference<>();
        try (GuestRam memory = GuestRam.anonymous(Posix.host(), LAYOUT, HugePages.NONE)) {
            assertThatThrownBy(() -> KvmGuest.create(kvm, SPEC, memory, vm -> {
                made.set(vm);
                throw new IOException("no more threads");
            })).hasMessage("no more threads").hasNoSuppressedExceptions();
            assertThatThrownBy(made.get()::memory).isInstanceOf(IllegalStateException.class)
                    .hasMessageContaining("closed");
            assertThat(memory.mapping(0).get(ValueLayout.JAVA_BYTE, 0)).isZero();
        }
    }

    @Test
    void aStateThatDoesNotFitLeavesNothingButWhatWasRestored() throws IOException {
        try (DirectoryStore store = store()) {
            try (KvmGuest guest = counting(SPEC)) {
                Capture.of(store, READY, guest.reader()).take(guest);
            }
            try (RestoredSnapshot restored = Restore.of(store, READY).restore(RestoreEngine.EAGER)) {
                List<MachineStateSection> state = restored.machineState().stream()
                        .map(section -> section.name().endsWith("cpuid") ? ofAnotherVendor(section) : section).toList();
                long open = vmsAndVcpusOpen();
                assertThatThrownBy(() -> KvmGuest.restored(kvm, new Other(restored, state), Threads::new))
                        .isInstanceOf(IncompatibleStateException.class);
                assertThat(vmsAndVcpusOpen()).isEqualTo(open);
                KvmGuest.restored(kvm, restored, Threads::new).close();
            }
        }
    }

    @Test
    void aVmWithoutVcpusOrWithOtherMemoryIsRefusedAndStaysTheCallers() throws IOException {
        try (GuestRam memory = GuestRam.anonymous(Posix.host(), LAYOUT, HugePages.NONE);
                VirtualMachine vm = kvm.createVirtualMachine(); DirectoryStore store = store();
                KvmGuest other = counting(SPEC)) {
            vm.register(memory);
            assertThatThrownBy(() -> KvmGuest.of(kvm, vm, new Threads(vm)))
                    .isInstanceOf(IllegalStateException.class).hasMessageContaining("no vCPUs");
            vm.createVcpu();
            Capture.of(store, READY, other.reader()).take(other);
            try (RestoredSnapshot restored = Restore.of(store, READY)
                    .restore(RestoreEngine.EAGER); Threads threads = new Threads(vm)) {
                assertThatThrownBy(() -> KvmGuest.restored(kvm, vm, restored, threads))
                        .isInstanceOf(IllegalArgumentException.class).hasMessageContaining("other memory");
                KvmGuest.of(kvm, vm, threads).close();
            }
        }
    }

    @Test
    void threadsThatDoNotEndWellLeaveNothingElseOpen() throws IOException {
        AtomicReference<Threads> threads = new AtomicReference<>();
        KvmGuest guest = KvmGuest.create(kvm, SPEC, LAYOUT, vm -> {
            threads.set(new Threads(vm));
            return new VcpuThreads() {
                @Override
                public void pause() throws IOException {
                    threads.get().pause();
                }

                @Override
                public void resume() throws IOException {
                    threads.get().resume();
                }

                @Override
                public void close() throws IOException {
                    threads.get().close();
                    throw new IOException("the disk is gone");
                }
            };
        });
        MemorySegment mapping = guest.memory().mapping(0);
        assertThatThrownBy(guest::close).hasMessage("the disk is gone");
        assertThat(threads.get().closed).isEqualTo(1);
        assertThatThrownBy(guest::memory).isInstanceOf(IllegalStateException.class);
        assertThatThrownBy(() -> mapping.get(ValueLayout.JAVA_BYTE, 0)).isInstanceOf(IllegalStateException.class);
    }

    /** The name of the processor's vendor is in EBX, ECX and EDX of the leaf 0. */
    private static MachineStateSection ofAnotherVendor(MachineStateSection cpuid) {
        byte[] bytes = new byte[cpuid.payload().remaining()];
        cpuid.payload().duplicate().get(bytes);
        ByteBuffer features = ByteBuffer.wrap(bytes).order(ByteOrder.LITTLE_ENDIAN);
        for (int entry = CPUID_ENTRIES; entry < bytes.length; entry += CPUID_ENTRY_BYTES) {
            if (features.getInt(entry) == 0) {
                features.putInt(entry + CPUID_EBX, 0x41414141);
            }
        }
        return new MachineStateSection(cpuid.name(), features);
    }

    private static long vmsAndVcpusOpen() throws IOException {
        try (Stream<Path> descriptors = Files.list(Path.of("/proc/self/fd"))) {
            return descriptors.filter(descriptor -> {
                try {
                    return Files.readSymbolicLink(descriptor).toString().contains("kvm-v");
                } catch (IOException closedMeanwhile) {
                    return false;
                }
            }).count();
        }
    }

    /** What was restored, with another state. */
    private record Other(RestoredSnapshot restored, List<MachineStateSection> machineState)
            implements RestoredMachine {
        @Override
        public GuestMemory memory() {
            return restored.memory();
        }

        @Override
        public DirtyTracker tracker(DirtySource... sources) throws IOException {
            return restored.tracker(sources);
        }
    }
}
