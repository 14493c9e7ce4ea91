package io.microsnap.kvm;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;

import io.microsnap.core.DamagedException;
import io.microsnap.core.GuestLayout;
import io.microsnap.core.HugePages;
import io.microsnap.core.IncompatibleStateException;
import io.microsnap.core.MachineStateSection;
import io.microsnap.core.internal.file.GuestRam;
import io.microsnap.core.internal.posix.Errno;
import io.microsnap.core.internal.posix.Posix;
import io.microsnap.core.internal.posix.SystemCallException;
import io.microsnap.core.testing.FaultyPosix;
import io.microsnap.kvm.internal.abi.Capability;
import io.microsnap.kvm.internal.abi.Request;
import io.microsnap.kvm.internal.abi.Structs;
import io.microsnap.testsupport.Effort;
import io.microsnap.testsupport.Seed;
import java.io.IOException;
import java.lang.foreign.Arena;
import java.lang.foreign.MemorySegment;
import java.lang.foreign.ValueLayout;
import java.nio.ByteBuffer;
import java.nio.ByteOrder;
import java.time.Duration;
import java.util.ArrayList;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import java.util.SplittableRandom;
import java.util.concurrent.TimeUnit;
import java.util.concurrent.atomic.AtomicInteger;
import java.util.function.UnaryOperator;
import org.junit.jupiter.api.AfterEach;
import org.junit.jupiter.api.BeforeEach;
import org.junit.jupiter.api.Test;

/** The state of one VM goes into another, or is refused with what differs. */
@KvmTest
class MachineStateTest {
    private static final Posix POSIX = Posix.host();
    private static final GuestLayout LAYOUT = GuestLayout.ofSingleRegion(4096, 1 << 20);

    private static final int CLOCK_REALTIME = 4;
    private static final int TSC_DEADLINE = 0x6e0;
    private static final int DEADLINE_MODE = 2 << 17;

    private Kvm kvm;
    private GuestRam memory;

    @BeforeEach
    void open() throws IOException {
        kvm = Kvm.open(POSIX);
        memory = GuestRam.anonymous(POSIX, LAYOUT, HugePages.NONE);
    }

    @AfterEach
    void close() throws IOException {
        memory.close();
        kvm.close();
    }

    @Test
    void everyPartComesBackAsItWasSaved() throws IOException {
        try (VirtualMachine first = machine(2, true); VirtualMachine second = machine(2, true)) {
            scramble(first);
            MachineState saved = MachineState.save(kvm, first);
            assertThat(saved.vcpuCount()).isEqualTo(2);
            assertThat(saved.hasInterruptChip()).isTrue();
            assertThat(saved.hasTimer()).isTrue();
            assertThat(MachineSpec.of(saved.sections())).isEqualTo(MachineSpec.ofVcpus(2).withInterruptChip());
            MachineState read = MachineState.of(saved.sections());
            assertThat(read.differences(kvm, second)).isEmpty();
            read.load(kvm, second);
            Map<String, byte[]> expected = bytes(saved);
            Map<String, byte[]> now = bytes(MachineState.save(kvm, second));
            assertThat(now.keySet()).isEqualTo(expected.keySet());
            // What runs on by itself: clocks, and the counters derived from them.
            for (String name : expected.keySet()) {
                if (!name.endsWith("clock") && !name.endsWith("timer") && !name.endsWith("msrs")
                        && !name.endsWith("lapic")) {
                    assertThat(now.get(name)).as(name).isEqualTo(expected.get(name));
                }
            }
            assertSameMsrs(expected, now);
            ByteBuffer timer = ByteBuffer.wrap(now.get("kvm.timer")).order(ByteOrder.LITTLE_ENDIAN);
            assertThat(timer.getInt(StateScrambler.TIMER_COUNT)).isEqualTo(0x1234);
            assertThat(timer.get(StateScrambler.TIMER_MODE)).isEqualTo((byte) 2);
        }
    }

    @Test
    void aRegisterThatIsListedAndCannotBeReadIsLeftOutAndNamed() throws IOException {
        try (Kvm boastful = Kvm.open(PretendingPosix.listing(0x1234_5678));
                VirtualMachine vm = machine(boastful, 2, true); VirtualMachine other = machine(2, true)) {
            MachineState saved = MachineState.save(boastful, vm);
            assertThat(saved.omitted()).containsOnlyOnce("MSR 0x12345678");
            assertThat(bytes(saved).get("kvm.vcpu1.msrs"))
                    .hasSameSizeAs(bytes(MachineState.save(kvm, other)).get("kvm.vcpu1.msrs"));
            MachineState.of(saved.sections()).load(kvm, other);
        }
    }

    @Test
    void theGuestsClockGoesOnFromWhereItWas() throws IOException {
        try (VirtualMachine first = machine(1, true); VirtualMachine second = machine(1, true)) {
            List<MachineStateSection> saved = MachineState.save(kvm, first).sections();
            // As if the guest had run for a day: a clock that starts anew does not get there.
            long day = Duration.ofDays(1).toNanos();
            List<MachineStateSection> later =
                    changed(saved, "kvm.clock", clock -> clock.putLong(0, clock.getLong(0) + day));
            MachineState.of(later).load(kvm, second);
            byte[] now = bytes(MachineState.save(kvm, second)).get("kvm.clock");
            assertThat(ByteBuffer.wrap(now).order(ByteOrder.LITTLE_ENDIAN).getLong(0)).isBetween(day, 2 * day);
        }
    }

    /** KVM tells with its clock what the wall clock said, and would add what has passed since. */
    @Test
    void theGuestsClockStoodStillWhileItWasSaved() throws IOException {
        try (VirtualMachine first = machine(1, true); VirtualMachine second = machine(1, true)) {
            long day = Duration.ofDays(1).toNanos();
            long now = TimeUnit.MILLISECONDS.toNanos(System.currentTimeMillis());
            List<MachineStateSection> yesterday = changed(MachineState.save(kvm, first).sections(), "kvm.clock",
                    clock -> clock.putInt(8, CLOCK_REALTIME).putLong(16, now - day));
            MachineState.of(yesterday).load(kvm, second);
            byte[] clock = bytes(MachineState.save(kvm, second)).get("kvm.clock");
            assertThat(ByteBuffer.wrap(clock).order(ByteOrder.LITTLE_ENDIAN).getLong(0)).isLessThan(day);
        }
    }

    /** It is armed only where the interrupt controller is in that mode already, and by the clock that runs then. */
    @Test
    void aTimerThatWaitsForTheProcessorsClockIsArmedAgain() throws IOException {
        try (VirtualMachine first = machine(1, true); VirtualMachine second = machine(1, true);
                Arena arena = Arena.ofConfined()) {
            Vcpu vcpu = first.vcpus().getFirst();
            MemorySegment controller = arena.allocate(Structs.KVM_LAPIC_STATE);
            vcpu.call(Request.KVM_GET_LAPIC, controller);
            controller.set(ValueLayout.JAVA_INT, 0xf0, 0x1ff);
            controller.set(ValueLayout.JAVA_INT, 0x320, DEADLINE_MODE | 0x40);
            vcpu.call(Request.KVM_SET_LAPIC, controller);
            long never = Long.MAX_VALUE / 4;
            MemorySegment deadline = arena.allocate(Structs.KVM_MSRS.byteSize() + Structs.KVM_MSR_ENTRY.byteSize(), 8);
            deadline.set(ValueLayout.JAVA_INT, 0, 1);
            deadline.set(ValueLayout.JAVA_INT, 8, TSC_DEADLINE);
            deadline.set(ValueLayout.JAVA_LONG, 16, never);
            assertThat(vcpu.call(Request.KVM_SET_MSRS, deadline)).isEqualTo(1);
            MachineState saved = MachineState.save(kvm, first);
            ByteBuffer registers = ByteBuffer.wrap(bytes(saved).get("kvm.vcpu0.msrs")).order(ByteOrder.LITTLE_ENDIAN);
            int last = registers.limit() - (int) Structs.KVM_MSR_ENTRY.byteSize();
            assertThat(registers.getInt(last)).as("the last, after the clock").isEqualTo(TSC_DEADLINE);
            assertThat(registers.getLong(last + 8)).isEqualTo(never);
            MachineState.of(saved.sections()).load(kvm, second);
            deadline.set(ValueLayout.JAVA_LONG, 16, 0);
            second.vcpus().getFirst().call(Request.KVM_GET_MSRS, deadline);
            assertThat(deadline.get(ValueLayout.JAVA_LONG, 16)).isEqualTo(never);
        }
    }

    /** Such kernels let a guest have the timer all the same, and VMMs give it to theirs. */
    @Test
    void aDeadlineTimerIsOfferedWhereTheKernelsListIsWithoutIt() throws IOException {
        try (Kvm older = Kvm.open(PretendingPosix.withoutDeadlineTimerInItsList());
                VirtualMachine first = machine(1, true); VirtualMachine second = machine(older, 1, true)) {
            List<Cpuid.Entry> features = Cpuid.entries(Cpuid.of(first.vcpus().getFirst().descriptor(), Arena.ofAuto()));
            assertThat(features).anyMatch(entry -> entry.function() == 1 && (entry.ecx() & 1 << 24) != 0);
            MachineState saved = MachineState.save(kvm, first);
            assertThat(saved.differences(older, second)).isEmpty();
            saved.load(older, second);
        }
    }

    @Test
    void sectionsHaveTheirNamesAndTheKernelsLengths() throws IOException {
        try (VirtualMachine vm = machine(1, true)) {
            assertThat(MachineState.save(kvm, vm).sections()).extracting(MachineStateSection::name).containsExactly(
                    "kvm.machine", "kvm.pic-master", "kvm.pic-slave", "kvm.ioapic", "kvm.timer", "kvm.clock",
                    "kvm.vcpu0.cpuid", "kvm.vcpu0.mp-state", "kvm.vcpu0.registers", "kvm.vcpu0.sregs2",
                    "kvm.vcpu0.xcrs", "kvm.vcpu0.xsave2", "kvm.vcpu0.debug-registers", "kvm.vcpu0.lapic",
                    "kvm.vcpu0.msrs", "kvm.vcpu0.events");
        }
    }

    @Test
    void whatThisKvmDoesNotOfferIsLeftOutAndNamed() throws IOException {
        Posix old = PretendingPosix.answering(Map.of(Capability.KVM_CAP_SREGS2, 0, Capability.KVM_CAP_XSAVE2, 0,
                Capability.KVM_CAP_XSAVE, 0, Capability.KVM_CAP_XCRS, 0, Capability.KVM_CAP_DEBUGREGS, 0,
                Capability.KVM_CAP_ADJUST_CLOCK, 0));
        List<MachineStateSection> sections;
        try (Kvm oldKvm = Kvm.open(old); VirtualMachine vm = machine(oldKvm, 1, false)) {
            MachineState saved = MachineState.save(oldKvm, vm);
            assertThat(saved.omitted()).contains("xcrs (KVM_CAP_XCRS)", "debug-registers (KVM_CAP_DEBUGREGS)",
                    "clock (KVM_CAP_ADJUST_CLOCK)");
            assertThat(saved.sections()).extracting(MachineStateSection::name)
                    .contains("kvm.vcpu0.sregs", "kvm.vcpu0.fpu")
                    .doesNotContain("kvm.vcpu0.sregs2", "kvm.vcpu0.xcrs", "kvm.clock");
            sections = saved.sections();
        }
        assertThat(MachineState.of(sections).omitted()).contains("xcrs (KVM_CAP_XCRS)");
        try (VirtualMachine vm = machine(1, false)) {
            MachineState.of(sections).load(kvm, vm);
        }
    }

    @Test
    void asMuchVectorStateIsHandedOverAsTheKvmThatTakesItReads() throws IOException {
        Posix old = PretendingPosix.answering(Map.of(Capability.KVM_CAP_XSAVE2, 0));
        List<MachineStateSection> sections;
        try (Kvm oldKvm = Kvm.open(old); VirtualMachine vm = machine(oldKvm, 1, false)) {
            sections = MachineState.save(oldKvm, vm).sections();
        }
        assertThat(sections).extracting(MachineStateSection::name).contains("kvm.vcpu0.xsave");
        List<Long> handedOver = new ArrayList<>();
        FaultyPosix large = FaultyPosix.over(PretendingPosix.answering(Map.of(Capability.KVM_CAP_XSAVE2, 8192)))
                .before(call -> {
                    if (call.name().equals("ioctl")
                            && call.arguments().get(1).equals(Request.KVM_SET_XSAVE.number())) {
                        handedOver.add(((MemorySegment) call.arguments().get(2)).byteSize());
                    }
                });
        try (Kvm largeKvm = Kvm.open(large.posix()); VirtualMachine vm = machine(largeKvm, 1, false)) {
            MachineState.of(sections).load(largeKvm, vm);
        }
        assertThat(handedOver).containsExactly(8192L);
    }

    @Test
    void aStateThatThisKvmCannotTakeIsRefusedWithEveryDifference() throws IOException {
        List<MachineStateSection> sections;
        try (VirtualMachine vm = machine(1, false)) {
            sections = MachineState.save(kvm, vm).sections();
        }
        Posix old = PretendingPosix.answering(Map.of(Capability.KVM_CAP_SREGS2, 0, Capability.KVM_CAP_XCRS, 0,
                Capability.KVM_CAP_ADJUST_CLOCK, 0));
        try (Kvm oldKvm = Kvm.open(old); VirtualMachine vm = machine(oldKvm, 2, true)) {
            assertThatThrownBy(() -> MachineState.of(sections).load(oldKvm, vm))
                    .isInstanceOfSatisfying(IncompatibleStateException.class, it -> assertThat(it.differences())
                            .anyMatch(difference -> difference.contains("KVM_CAP_SREGS2"))
                            .anyMatch(difference -> difference.contains("KVM_CAP_XCRS"))
                            .anyMatch(difference -> difference.contains("KVM_CAP_ADJUST_CLOCK"))
                            .anyMatch(difference -> difference.contains("2 vCPUs, the state 1"))
                            .anyMatch(difference -> difference.contains("interrupt chip"))
                            .anyMatch(difference -> difference.contains("timer")));
        }
    }

    @Test
    void theStateOfAnotherProcessorIsRefusedByVendorAndFeature() throws IOException {
        List<MachineStateSection> sections;
        try (VirtualMachine vm = machine(1, false)) {
            sections = MachineState.save(kvm, vm).sections();
        }
        AtomicInteger feature = new AtomicInteger();
        List<MachineStateSection> foreign = changed(sections, "kvm.vcpu0.cpuid", cpuid -> {
            int entries = cpuid.getInt(0);
            for (int entry = 0; entry < entries; entry++) {
                int at = 8 + entry * 40;
                if (cpuid.getInt(at) == 0) {
                    // "NobodysChips"
                    cpuid.putInt(at + 16, 0x6f62_6f4e).putInt(at + 24, 0x4373_7964).putInt(at + 20, 0x7370_6968);
                }
                if (cpuid.getInt(at) == 7 && cpuid.getInt(at + 4) == 0) {
                    // The first that this processor lacks, whichever it is.
                    int features = cpuid.getInt(at + 24);
                    feature.set(Integer.lowestOneBit(~features));
                    cpuid.putInt(at + 24, features | feature.get());
                }
            }
            return cpuid;
        });
        try (VirtualMachine vm = machine(1, false)) {
            assertThatThrownBy(() -> MachineState.of(foreign).load(kvm, vm))
                    .isInstanceOf(IncompatibleStateException.class)
                    .hasMessageContaining("the state is of NobodysChips")
                    .hasMessageContaining("CPUID 0x7.0 EDX: bits 0x" + Integer.toHexString(feature.get()) + " are not");
        }
    }

    @Test
    void vectorRegistersForWhichThereIsNoRoomAreRefused() throws IOException {
        Posix wide = PretendingPosix.answering(Map.of(Capability.KVM_CAP_XSAVE2, 1 << 16));
        try (Kvm wideKvm = Kvm.open(wide); VirtualMachine first = machine(wideKvm, 1, false);
                VirtualMachine alike = machine(wideKvm, 1, false); VirtualMachine narrow = machine(1, false)) {
            List<MachineStateSection> sections = MachineState.save(wideKvm, first).sections();
            MachineState.of(sections).load(wideKvm, alike);
            assertThatThrownBy(() -> MachineState.of(sections).load(kvm, narrow))
                    .isInstanceOf(IncompatibleStateException.class)
                    .hasMessageContaining("vector state of vCPU 0 takes 65536 bytes");
            MachineState.of(MachineState.save(kvm, narrow).sections()).load(wideKvm, alike);
        }
    }

    @Test
    void aStateOfAnotherVersionOrArchitectureIsIncompatibleAndOneWithoutVcpusIsDamaged() throws IOException {
        List<MachineStateSection> sections;
        try (VirtualMachine vm = machine(1, true)) {
            sections = MachineState.save(kvm, vm).sections();
        }
        assertThatThrownBy(() -> MachineState.of(changed(sections, "kvm.machine", it -> it.putInt(0, 2))))
                .isInstanceOf(IncompatibleStateException.class).hasMessageContaining("version 2");
        assertThatThrownBy(() -> MachineState.of(changed(sections, "kvm.machine", it -> it.putInt(4, 183))))
                .isInstanceOf(IncompatibleStateException.class).hasMessageContaining("architecture 183");
        for (int vcpus : new int[] {0, -1, 4097}) {
            assertThatThrownBy(() -> MachineState.of(changed(sections, "kvm.machine", it -> it.putInt(8, vcpus))))
                    .isInstanceOf(DamagedException.class).hasMessageContaining(vcpus + " vCPUs");
        }
        assertThatThrownBy(() -> MachineState.of(changed(sections, "kvm.pic-slave", it -> it.putInt(0, 0))))
                .isInstanceOf(DamagedException.class).hasMessageContaining("is of chip 0");
    }

    @Test
    void aClockThatRunsAtAnotherRateIsRefusedWhereItCannotBeSet() throws IOException {
        try (Kvm rigid = Kvm.open(PretendingPosix.answering(Map.of(Capability.KVM_CAP_TSC_CONTROL, 0)));
                Kvm flexible = Kvm.open(PretendingPosix.answering(Map.of(Capability.KVM_CAP_TSC_CONTROL, 1)));
                VirtualMachine there = machine(rigid, 1, false); VirtualMachine here = machine(flexible, 1, false)) {
            List<MachineStateSection> sections = MachineState.save(rigid, there).sections();
            MachineState twice = MachineState.of(changed(sections, "kvm.machine",
                    it -> it.putInt(16, it.getInt(16) * 2)));
            assertThat(twice.differences(rigid, there)).singleElement().asString()
                    .contains("the processor's clock runs at");
            assertThat(twice.differences(flexible, here)).isEmpty();
            MachineState nearly = MachineState.of(changed(sections, "kvm.machine",
                    it -> it.putInt(16, it.getInt(16) + it.getInt(16) / 10_000)));
            assertThat(nearly.differences(rigid, there)).isEmpty();
        }
    }

    @Test
    void anInterruptControllerThatCannotBeReadIsAFailureAndNotTakenToBeAbsent() throws IOException {
        try (Kvm broken = Kvm.open(PretendingPosix.failing(Request.KVM_GET_LAPIC, Errno.ENOMEM));
                VirtualMachine vm = machine(broken, 1, false)) {
            assertThatThrownBy(() -> MachineState.save(broken, vm)).isInstanceOf(SystemCallException.class)
                    .hasMessageContaining("KVM_GET_LAPIC").hasMessageContaining("ENOMEM");
        }
    }

    @Test
    void everyVcpuIsToldItsNumberAndWhatFollowsItsOwnRegistersIsNoFeature() throws IOException {
        try (VirtualMachine vm = machine(3, true); Arena arena = Arena.ofConfined()) {
            for (Vcpu vcpu : vm.vcpus()) {
                for (Cpuid.Entry entry : Cpuid.entries(Cpuid.of(vcpu.descriptor(), arena))) {
                    if (entry.function() == 1) {
                        assertThat(entry.ebx() >>> 24).isEqualTo(vcpu.index());
                    } else if (entry.function() == 0xb || entry.function() == 0x1f) {
                        assertThat(entry.edx()).isEqualTo(vcpu.index());
                    }
                }
            }
        }
        Cpuid.Entry plain = new Cpuid.Entry(1, 0, 0, 0, 0, 0);
        Cpuid.Entry saving = new Cpuid.Entry(1, 0, 0, 0, 1 << 27, 0);
        Cpuid.Entry keys = new Cpuid.Entry(7, 0, 0, 0, 1 << 4, 0);
        assertThat(Cpuid.lacking(List.of(saving, keys), List.of(plain), List.of(plain)))
                .noneMatch(difference -> difference.contains("bits"));
    }

    @Test
    void aRegisterThatCannotBeSetIsNamedWithItsValue() throws IOException {
        List<MachineStateSection> sections;
        try (VirtualMachine vm = machine(1, false)) {
            sections = MachineState.save(kvm, vm).sections();
        }
        List<MachineStateSection> odd = changed(sections, "kvm.vcpu0.msrs", msrs -> {
            // The first and the last become some that no processor has.
            int last = 8 + (msrs.getInt(0) - 1) * 16;
            return msrs.putInt(8, 0x1234_5678).putLong(16, 0xabcd).putInt(last, 0x1234_5679).putLong(last + 8, 0xef);
        });
        try (VirtualMachine vm = machine(1, false)) {
            assertThatThrownBy(() -> MachineState.of(odd).load(kvm, vm))
                    .isInstanceOf(IncompatibleStateException.class)
                    .hasMessageContaining("MSR 0x12345678").hasMessageContaining("0xabcd")
                    .hasMessageContaining("MSR 0x12345679").hasMessageContaining("0xef");
        }
    }

    @Test
    void aStateThatIsTruncatedMixedUpOrIncompleteIsDamaged() throws IOException {
        List<MachineStateSection> sections;
        try (VirtualMachine vm = machine(1, true)) {
            sections = MachineState.save(kvm, vm).sections();
        }
        for (MachineStateSection section : sections) {
            if (!section.name().endsWith("clock")) {
                List<MachineStateSection> without = new ArrayList<>(sections);
                without.remove(section);
                boolean needed = !List.of("kvm.vcpu0.mp-state", "kvm.vcpu0.xcrs", "kvm.vcpu0.xsave2", "kvm.vcpu0.lapic",
                        "kvm.vcpu0.debug-registers", "kvm.vcpu0.events").contains(section.name());
                if (needed) {
                    assertThatThrownBy(() -> MachineState.of(without)).as(section.name())
                            .isInstanceOf(DamagedException.class);
                }
            }
            List<MachineStateSection> truncated = changed(sections, section.name(),
                    bytes -> bytes.slice(0, bytes.remaining() - 1));
            if (!section.name().equals("kvm.machine")) {
                assertThatThrownBy(() -> MachineState.of(truncated)).as(section.name())
                        .isInstanceOf(DamagedException.class).hasMessageContaining(section.name());
            }
            List<MachineStateSection> twice = new ArrayList<>(sections);
            twice.add(section);
            assertThatThrownBy(() -> MachineState.of(twice)).isInstanceOf(DamagedException.class)
                    .hasMessageContaining("twice");
        }
        List<MachineStateSection> foreign = new ArrayList<>(sections);
        foreign.add(new MachineStateSection("kvm.vcpu7.registers", ByteBuffer.allocate(144)));
        assertThatThrownBy(() -> MachineState.of(foreign)).isInstanceOf(DamagedException.class)
                .hasMessageContaining("kvm.vcpu7.registers");
        List<MachineStateSection> withTheVmms = new ArrayList<>(sections);
        withTheVmms.add(new MachineStateSection("vmm.devices", ByteBuffer.allocate(1)));
        assertThat(MachineState.of(withTheVmms).vcpuCount()).isEqualTo(1);
    }

    @Test
    void bytesThatNobodySavedAreRefusedOrLoadedButHarmNothing(Seed seed) throws IOException {
        SplittableRandom random = seed.random();
        List<MachineStateSection> sections;
        try (VirtualMachine vm = machine(1, true)) {
            sections = MachineState.save(kvm, vm).sections();
        }
        int refused = 0;
        for (int round = 0; round < Effort.choose(50, 300, 3000); round++) {
            MachineStateSection victim = sections.get(random.nextInt(sections.size()));
            List<MachineStateSection> hostile = changed(sections, victim.name(), bytes -> {
                for (int flips = 1 + random.nextInt(8); flips > 0; flips--) {
                    bytes.put(random.nextInt(bytes.remaining()), (byte) random.nextInt(256));
                }
                return bytes;
            });
            try (VirtualMachine vm = machine(1, true)) {
                MachineState.of(hostile).load(kvm, vm);
            } catch (IOException expected) {
                refused++;
                assertThat(expected.getMessage()).isNotBlank();
            }
        }
        assertThat(refused).isPositive();
    }

    @Test
    void aRunningVcpuIsNotAskedForItsState() throws Exception {
        try (VirtualMachine vm = machine(1, false)) {
            Vcpu vcpu = vm.vcpus().getFirst();
            vcpu.interrupt();
            assertThat(vcpu.run()).isEqualTo(VcpuExit.Plain.INTERRUPTED);
            assertThat(MachineState.save(kvm, vm).sections()).isNotEmpty();
        }
    }

    private VirtualMachine machine(int vcpus, boolean interruptChip) throws IOException {
        return machine(kvm, vcpus, interruptChip);
    }

    private VirtualMachine machine(Kvm on, int vcpus, boolean interruptChip) throws IOException {
        VirtualMachine vm = on.createVirtualMachine();
        vm.register(memory);
        if (interruptChip) {
            vm.createInterruptChip();
            vm.createTimer();
        }
        for (int vcpu = 0; vcpu < vcpus; vcpu++) {
            vm.createVcpu();
        }
        return vm;
    }

    /** Values that no reset leaves, in every kind of register. */
    private static void scramble(VirtualMachine vm) throws IOException {
        for (Vcpu vcpu : vm.vcpus()) {
            StateScrambler.scramble(vcpu);
        }
        StateScrambler.scrambleChips(vm);
    }

    private static void assertSameMsrs(Map<String, byte[]> expected, Map<String, byte[]> now) {
        for (String name : expected.keySet()) {
            if (name.endsWith("msrs")) {
                ByteBuffer before = ByteBuffer.wrap(expected.get(name)).order(ByteOrder.LITTLE_ENDIAN);
                ByteBuffer after = ByteBuffer.wrap(now.get(name)).order(ByteOrder.LITTLE_ENDIAN);
                assertThat(after.getInt(0)).isEqualTo(before.getInt(0));
                for (int at = 8; at < before.limit(); at += (int) Structs.KVM_MSR_ENTRY.byteSize()) {
                    assertThat(after.getInt(at)).isEqualTo(before.getInt(at));
                    // The time-stamp counter, and what KVM counts by it, go on.
                    boolean counts = before.getInt(at) == 0x10 || before.getInt(at) == 0x4000_0020
                            || before.getInt(at) == 0xe7 || before.getInt(at) == 0xe8;
                    if (!counts) {
                        assertThat(after.getLong(at + 8)).as("MSR 0x%x of %s", before.getInt(at), name)
                                .isEqualTo(before.getLong(at + 8));
                    }
                }
            }
        }
    }

    private static Map<String, byte[]> bytes(MachineState state) {
        Map<String, byte[]> all = new LinkedHashMap<>();
        for (MachineStateSection section : state.sections()) {
            byte[] bytes = new byte[section.payload().remaining()];
            section.payload().get(bytes);
            all.put(section.name(), bytes);
        }
        return all;
    }

    private static List<MachineStateSection> changed(
            List<MachineStateSection> sections, String name, UnaryOperator<ByteBuffer> change) {
        return sections.stream().map(section -> {
            if (!section.name().equals(name)) {
                return section;
            }
            ByteBuffer copy = ByteBuffer.allocate(section.payload().remaining()).put(section.payload()).flip();
            return new MachineStateSection(name, change.apply(copy.order(ByteOrder.LITTLE_ENDIAN)));
        }).toList();
    }
}
