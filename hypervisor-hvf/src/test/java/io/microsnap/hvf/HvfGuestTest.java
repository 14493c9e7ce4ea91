package io.microsnap.hvf;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;
import static org.junit.jupiter.api.Assumptions.assumeTrue;

import io.microsnap.core.GuestMemory;
import io.microsnap.core.IncompatibleStateException;
import io.microsnap.core.MachineStateSection;
import io.microsnap.core.SnapshotId;
import io.microsnap.core.SnapshotReference;
import io.microsnap.core.internal.file.GuestRam;
import io.microsnap.dirty.DirtySource;
import io.microsnap.dirty.DirtyTracker;
import io.microsnap.dirty.Epoch;
import io.microsnap.dirty.RestoredMachine;
import io.microsnap.hvf.internal.binding.HvReturn;
import java.io.IOException;
import java.lang.foreign.MemorySegment;
import java.lang.foreign.ValueLayout;
import java.util.List;
import java.util.UUID;
import org.junit.jupiter.api.AfterEach;
import org.junit.jupiter.api.BeforeEach;
import org.junit.jupiter.api.Test;

/** A guest in one object: what a capture asks of it, and the ends it may come to. */
@HvfTest
class HvfGuestTest {
    private static final SnapshotReference SNAPSHOT =
            new SnapshotReference(new SnapshotId("base"), new UUID(1, 2), 3);
    private static final MachineSpec SPEC = MachineSpec.ofVcpus(2);
    private static final long COUNTER = 0x8000;
    private static final ExitHandler GOES_ON = (vcpu, exit) -> true;

    private TestHost host;

    @BeforeEach
    void open() throws IOException {
        host = TestHost.open();
    }

    @AfterEach
    void nothingIsLeft() {
        host.assertClean();
    }

    /** Each vCPU counts in a page of its own, and asks whether it may go on. */
    private static HvfGuest counting(HvfGuest guest) throws IOException {
        new A64().label("again").load(1, 0, 0).add(1, 1, 1).store(1, 0, 0).call(3).jump("again")
                .writeTo(guest.memory().mapping(0), 0);
        for (Vcpu vcpu : guest.vcpus()) {
            vcpu.call(own -> {
                own.set(Register.CPSR, 0x3c5);
                own.set(Register.PC, guest.memory().layout().guestAddress(0));
                own.set(Register.X0, guest.memory().layout().guestAddress(counterOf(own.index())));
                own.start();
                return own;
            });
        }
        return guest;
    }

    private static long counterOf(int vcpu) {
        return COUNTER + (long) vcpu * TestHost.PAGE;
    }

    private static long counted(GuestMemory memory, int vcpu) {
        return (long) ValueLayout.JAVA_LONG.varHandle().getVolatile(memory.mapping(0), counterOf(vcpu));
    }

    private static void awaitMore(HvfGuest guest) {
        for (int vcpu = 0; vcpu < SPEC.vcpus(); vcpu++) {
            long before = counted(guest.memory(), vcpu);
            while (counted(guest.memory(), vcpu) == before) {
                Thread.onSpinWait();
            }
        }
    }

    @Test
    void itStandsStillBetweenPauseAndResumeAndTellsWhatItWrote() throws IOException {
        try (HvfGuest guest = counting(HvfGuest.create(host.hvf(), SPEC, TestHost.LAYOUT, GOES_ON))) {
            guest.tracker().armRelativeTo(SNAPSHOT);
            guest.resume();
            awaitMore(guest);
            guest.pause();
            long first = counted(guest.memory(), 0);
            assertThat(guest.saveState()).extracting(MachineStateSection::name).contains("hvf.machine",
                    "hvf.vcpu1.registers");
            Epoch epoch = guest.tracker().harvest();
            assertThat(epoch.relativeTo()).contains(SNAPSHOT);
            assertThat(epoch.bitmap().test(counterOf(0))).isTrue();
            MemorySegment read = MemorySegment.ofArray(new long[1]);
            guest.reader().read(counterOf(0), read);
            assertThat(read.get(ValueLayout.JAVA_LONG_UNALIGNED, 0)).isEqualTo(first);
            assertThat(guest.reader().view(0, 8).address()).isEqualTo(guest.memory().mapping(0).address());
            epoch.commit(SNAPSHOT);
            guest.resume();
            awaitMore(guest);
        }
    }

    @Test
    void itsOwnMemoryEndsWithIt() throws IOException {
        HvfGuest guest = HvfGuest.create(host.hvf(), SPEC, TestHost.LAYOUT, GOES_ON);
        MemorySegment mapping = guest.memory().mapping(0);
        guest.close();
        guest.close();
        assertThatThrownBy(() -> mapping.get(ValueLayout.JAVA_BYTE, 0)).isInstanceOf(IllegalStateException.class);
        assertThatThrownBy(guest::pause).isInstanceOf(IllegalStateException.class);
        assertThatThrownBy(guest::resume).isInstanceOf(IllegalStateException.class);
        assertThatThrownBy(guest::saveState).isInstanceOf(IllegalStateException.class);
    }

    @Test
    void aRestoredOneGoesOnAndItsFirstEpochIsRelativeToTheSnapshot() throws IOException {
        try (Restored restored = savedAfterSomeTime(); HvfGuest guest =
                HvfGuest.restored(host.hvf(), restored, GOES_ON)) {
            long[] before = {counted(restored.memory, 0), counted(restored.memory, 1)};
            assertThat(guest.memory()).isSameAs(restored.memory);
            assertThat(guest.vcpus()).allMatch(Vcpu::isOn);
            guest.resume();
            awaitMore(guest);
            guest.pause();
            assertThat(counted(restored.memory, 0)).isGreaterThan(before[0]);
            assertThat(counted(restored.memory, 1)).isGreaterThan(before[1]);
            Epoch epoch = guest.tracker().harvest();
            assertThat(epoch.relativeTo()).contains(SNAPSHOT);
            assertThat(epoch.bitmap().test(counterOf(0))).isTrue();
            assertThat(epoch.bitmap().test(400L * TestHost.PAGE)).as("not written").isFalse();
            epoch.close();
        }
    }

    @Test
    void whatWasRestoredMayBeClosedBeforeTheGuest() throws IOException {
        Restored restored = savedAfterSomeTime();
        HvfGuest guest = HvfGuest.restored(host.hvf(), restored, GOES_ON);
        restored.close();
        guest.pause();
        MemorySegment read = MemorySegment.ofArray(new long[1]);
        assertThatThrownBy(() -> guest.reader().read(0, read)).isInstanceOf(IllegalStateException.class);
        guest.close();
        restored.close();
        guest.close();
    }

    @Test
    void aSnapshotThatDoesNotFitLeavesNothingButWhatWasRestored() throws IOException {
        assumeTrue(host.library().isPresent(), "only the stand-in can be another Mac");
        try (Restored restored = savedAfterSomeTime()) {
            host.standIn().osBuild("25B78");
            assertThatThrownBy(() -> HvfGuest.restored(host.hvf(), restored, GOES_ON))
                    .isInstanceOf(IncompatibleStateException.class).hasMessageContaining("25B78");
            host.assertClean();
            host.standIn().osBuild("24A335");
            host.standIn().fail("hv_vm_protect", 1, HvReturn.HV_ERROR);
            assertThatThrownBy(() -> HvfGuest.restored(host.hvf(), restored, GOES_ON))
                    .hasMessageContaining("hv_vm_protect");
            host.assertClean();
            assertThat(counted(restored.memory, 0)).isPositive();
            HvfGuest.restored(host.hvf(), restored, GOES_ON).close();
        }
    }

    @Test
    void aVcpuThatFailedFailsThePauseAndTheOthersGoOn() throws IOException {
        try (HvfGuest guest = counting(HvfGuest.create(host.hvf(), SPEC, TestHost.LAYOUT, (vcpu, exit) -> {
            if (vcpu.index() == 1) {
                throw new IOException("the disk is gone");
            }
            return true;
        }))) {
            guest.resume();
            assertThatThrownBy(guest.vcpus().get(1)::awaitParked).hasMessageContaining("the disk is gone");
            assertThatThrownBy(guest::pause).hasMessageContainingAll("vCPU 1 failed", "the disk is gone");
            guest.resume();
            long before = counted(guest.memory(), 0);
            while (counted(guest.memory(), 0) == before) {
                Thread.onSpinWait();
            }
        }
    }

    /** A guest's memory and state after it has run for a while. */
    private Restored savedAfterSomeTime() throws IOException {
        GuestRam memory = TestHost.memory();
        try (HvfGuest guest = counting(HvfGuest.create(host.hvf(), SPEC, memory, GOES_ON))) {
            guest.resume();
            awaitMore(guest);
            guest.pause();
            return new Restored(memory, guest.saveState());
        }
    }

    /** What a restore gives a hypervisor module. */
    private static final class Restored implements RestoredMachine, AutoCloseable {
        private final GuestRam memory;
        private final List<MachineStateSection> state;

        Restored(GuestRam memory, List<MachineStateSection> state) {
            this.memory = memory;
            this.state = state;
        }

        @Override
        public GuestMemory memory() {
            return memory;
        }

        @Override
        public List<MachineStateSection> machineState() {
            return state;
        }

        @Override
        public DirtyTracker tracker(DirtySource... sources) throws IOException {
            DirtyTracker tracker = DirtyTracker.of(memory.layout(), sources);
            try {
                tracker.armRelativeTo(SNAPSHOT);
                return tracker;
            } catch (IOException failure) {
                tracker.close();
                throw failure;
            }
        }

        @Override
        public void close() throws IOException {
            memory.close();
        }
    }
}
