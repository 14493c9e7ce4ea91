package io.microsnap.machine;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;

import io.microsnap.core.GuestMemory;
import io.microsnap.core.HugePages;
import io.microsnap.core.MachineStateSection;
import io.microsnap.core.Region;
import io.microsnap.core.internal.file.GuestRam;
import io.microsnap.core.internal.posix.Posix;
import io.microsnap.kvm.Kvm;
import io.microsnap.kvm.KvmTest;
import java.io.IOException;
import java.lang.foreign.MemorySegment;
import java.lang.foreign.ValueLayout;
import java.util.HashSet;
import java.util.List;
import java.util.Set;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.EnumSource;
import org.junit.jupiter.params.provider.ValueSource;

@KvmTest
class SmallMachineTest {
    private static final long MIB = 1 << 20;

    @Test
    void aGuestCountsWhileItRunsAndStandsStillWhilePaused() throws Exception {
        try (Kvm kvm = Kvm.open();
                SmallMachine machine = SmallMachine.create(kvm, SmallMachineSpec.ofRam(4 * MIB))) {
            machine.load(0, GuestProgram.count());
            long last = 0;
            for (int round = 0; round < 100; round++) {
                machine.resume();
                awaitCounter(machine, last + 1);
                machine.pause();
                long now = machine.counter(0);
                assertThat(now).isGreaterThan(last);
                machine.pause();
                assertThat(machine.counter(0)).isEqualTo(now);
                last = now;
            }
        }
    }

    @ParameterizedTest
    @EnumSource(Pattern.class)
    void aTouchingGuestWritesExactlyThePagesThatTheModelNames(Pattern pattern) throws Exception {
        Region range = new Region(2 * MIB, 3 * MIB + 0x5000);
        Touch touch = new Touch(range, pattern, 0x1234_5678, 300, 3);
        try (Kvm kvm = Kvm.open();
                SmallMachine machine = SmallMachine.create(kvm, SmallMachineSpec.ofRam(8 * MIB))) {
            machine.load(0, GuestProgram.touch(touch));
            machine.resume();
            machine.awaitFinish();
            assertThat(machine.hasFinished(0)).isTrue();
            assertThat(machine.counter(0)).isEqualTo(3L * touch.touchesPerRound());
            Set<Long> expected = new HashSet<>();
            touch.pages(3L * touch.touchesPerRound(), expected::add);
            Set<Long> written = new HashSet<>();
            MemorySegment memory = machine.memory().mapping(0);
            for (long page = SmallMachine.PROGRAM_AREA_BYTES; page < memory.byteSize(); page += 4096) {
                if (memory.asSlice(page, 4096).mismatch(MemorySegment.ofArray(new byte[4096])) >= 0) {
                    written.add(page);
                }
            }
            assertThat(written).isEqualTo(expected);
        }
    }

    @Test
    void aGuestThatTouchesAFractionTouchesThatManyDifferentPages() {
        Touch touch = Touch.fraction(new Region(MIB, 1000 * 4096), Pattern.RANDOM, 7, 0.05);
        Set<Long> pages = new HashSet<>();
        touch.pages(touch.touchesPerRound(), pages::add);
        assertThat(pages).hasSize(50).allMatch(page -> page >= MIB && page < MIB + 1000 * 4096);
    }

    @Test
    void aGuestFindsItsMemoryAsItLeftItAndNoticesOneForeignWord() throws Exception {
        Touch touch = Touch.fraction(new Region(MIB, 2 * MIB), Pattern.RANDOM, 99, 0.1);
        try (Kvm kvm = Kvm.open();
                SmallMachine machine = SmallMachine.create(kvm, SmallMachineSpec.ofRam(4 * MIB))) {
            machine.load(0, GuestProgram.touch(touch));
            assertThatThrownBy(() -> machine.selfCheck(0)).isInstanceOf(IllegalStateException.class)
                    .hasMessageContaining("resume");
            machine.resume();
            awaitCounter(machine, 500);
            SelfCheck check = machine.selfCheck(0);
            assertThat(check.holds()).as(check.toString()).isTrue();
            assertThat(check.counted()).isNotZero();
            machine.pause();
            MemorySegment word = machine.memory().mapping(0).asSlice(MIB, 4096);
            for (long at = 0; at < 4096; at += 4) {
                word.set(ValueLayout.JAVA_INT, at, word.get(ValueLayout.JAVA_INT, at) + 1);
            }
            machine.resume();
            assertThat(machine.selfCheck(0).holds()).isFalse();
        }
    }

    @Test
    void aGuestAddsUpItsMemoryAsJavaDoes() throws Exception {
        try (Kvm kvm = Kvm.open();
                SmallMachine machine = SmallMachine.create(kvm, SmallMachineSpec.ofRam(4 * MIB))) {
            Region range = new Region(MIB, 64 << 10);
            MemorySegment memory = machine.memory().mapping(0).asSlice(MIB, 64 << 10);
            int expected = 0;
            for (int at = 0; at < memory.byteSize(); at += 4) {
                memory.set(ValueLayout.JAVA_INT, at, at * 0x9e37_79b9);
                expected = Integer.rotateLeft(expected, 1) + at * 0x9e37_79b9;
            }
            machine.load(0, GuestProgram.checksum(range));
            machine.resume();
            machine.awaitFinish();
            assertThat(machine.counter(0)).isEqualTo(Integer.toUnsignedLong(expected));
        }
    }

    @Test
    void severalProcessorsRunTheirOwnProgramsAndMemoryBeyondFourGibIsReachedThroughAnAlias() throws Exception {
        SmallMachineSpec spec = SmallMachineSpec.ofRam(6L << 30).withVcpus(3);
        try (Kvm kvm = Kvm.open(); SmallMachine machine = SmallMachine.create(kvm, spec)) {
            assertThat(machine.reach()).hasSize(2);
            SmallMachine.Reach high = machine.reach().get(1);
            assertThat(high.imageOffset()).isEqualTo(3L << 30);
            machine.load(0, GuestProgram.count());
            machine.load(1, GuestProgram.touch(new Touch(
                    new Region(high.guest().guestAddress(), MIB), Pattern.SEQUENTIAL, 0, 256, 1)));
            machine.load(2, GuestProgram.touch(new Touch(new Region(MIB, MIB), Pattern.RUNS, 5, 64, 0)));
            machine.resume();
            awaitCounter(machine, 1000);
            while (!machine.hasFinished(1)) {
                Thread.onSpinWait();
            }
            assertThat(machine.selfCheck(2).holds()).isTrue();
            machine.pause();
            MemorySegment memory = machine.memory().mapping(1);
            for (long page = 0; page < MIB; page += 4096) {
                assertThat(memory.get(ValueLayout.JAVA_INT, page)).as("page at " + page).isPositive();
            }
            assertThat(memory.get(ValueLayout.JAVA_INT, MIB)).isZero();
        }
    }

    @ParameterizedTest
    @ValueSource(booleans = {false, true})
    void aMachineGoesOnInAnotherOneFromItsMemoryAndItsState(boolean interruptChip) throws Exception {
        SmallMachineSpec spec = SmallMachineSpec.ofRam(8 * MIB).withVcpus(2);
        spec = interruptChip ? spec.withInterruptChip() : spec;
        Touch touch = Touch.fraction(new Region(MIB, 2 * MIB), Pattern.HOT_SET, 17, 0.2);
        GuestRam copy = GuestRam.anonymous(Posix.host(), spec.layout(), HugePages.NONE);
        List<MachineStateSection> state;
        long counted;
        long touched;
        try (Kvm kvm = Kvm.open(); SmallMachine machine = SmallMachine.create(kvm, spec)) {
            machine.load(0, GuestProgram.count());
            machine.load(1, GuestProgram.touch(touch));
            machine.resume();
            awaitCounter(machine, 1000);
            while (machine.counter(1) < 1000) {
                Thread.onSpinWait();
            }
            machine.pause();
            counted = machine.counter(0);
            touched = machine.counter(1);
            state = machine.saveState();
            copy.mapping(0).copyFrom(machine.memory().mapping(0));
        }
        // The counters are in memory, but where the programs were is in their registers alone.
        clearCounters(copy);
        try (Kvm kvm = Kvm.open(); SmallMachine machine = SmallMachine.restore(kvm, copy, state)) {
            machine.resume();
            awaitCounter(machine, counted + 1);
            while (machine.counter(1) <= touched) {
                Thread.onSpinWait();
            }
            SelfCheck check = machine.selfCheck(1);
            assertThat(check.holds()).as(check.toString()).isTrue();
            machine.pause();
            assertThat(machine.counter(0)).isBetween(counted + 1, counted + 100_000_000);
        }
    }

    @Test
    void aProgramThatLeavesItsMemoryFailsItsMachineAndNotTheProcess() throws Exception {
        try (Kvm kvm = Kvm.open();
                SmallMachine machine = SmallMachine.create(kvm, SmallMachineSpec.ofRam(4 * MIB))) {
            machine.load(0, GuestProgram.touch(new Touch(new Region(64 * MIB, MIB), Pattern.RANDOM, 0, 1, 1)));
            machine.resume();
            assertThatThrownBy(machine::awaitFinish).isInstanceOf(IOException.class)
                    .hasMessageContaining("vCPU 0").hasMessageContaining("read address 0x40")
                    .hasMessageContaining("no memory");
            assertThat(machine.isRunning(0)).as("a vCPU that failed").isFalse();
            machine.load(0, GuestProgram.count());
            machine.resume();
            awaitCounter(machine, 10);
            assertThat(machine.isRunning(0)).isTrue();
            machine.pause();
            assertThat(machine.isRunning(0)).isFalse();
        }
    }

    @Test
    void aMachineMayBeClosedWhileItRunsAndTwice() throws Exception {
        try (Kvm kvm = Kvm.open()) {
            SmallMachine machine = SmallMachine.create(kvm, SmallMachineSpec.ofRam(4 * MIB).withVcpus(4));
            for (int vcpu = 0; vcpu < 4; vcpu++) {
                machine.load(vcpu, GuestProgram.count());
            }
            machine.resume();
            awaitCounter(machine, 10);
            machine.close();
            machine.close();
            assertThatThrownBy(machine::resume).isInstanceOf(IllegalStateException.class);
            assertThatThrownBy(() -> machine.memory().mapping(0).get(ValueLayout.JAVA_BYTE, 0))
                    .isInstanceOf(IllegalStateException.class);
        }
    }

    private static void clearCounters(GuestMemory memory) {
        memory.mapping(0).set(ValueLayout.JAVA_INT, 0x2000, 0);
        memory.mapping(0).set(ValueLayout.JAVA_INT, 0x4000, 0);
    }

    private static void awaitCounter(SmallMachine machine, long atLeast) {
        while (machine.counter(0) < atLeast) {
            Thread.onSpinWait();
        }
    }
}
