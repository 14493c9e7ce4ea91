package io.microsnap.hvf;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;

import io.microsnap.core.DamagedException;
import io.microsnap.core.IncompatibleStateException;
import io.microsnap.core.MachineStateSection;
import io.microsnap.core.internal.file.GuestRam;
import io.microsnap.hvf.internal.binding.HvReturn;
import io.microsnap.hvf.internal.binding.HypervisorFramework;
import io.microsnap.hvf.internal.binding.StandIn;
import io.microsnap.testsupport.Effort;
import io.microsnap.testsupport.Seed;
import java.io.IOException;
import java.lang.foreign.MemorySegment;
import java.lang.foreign.ValueLayout;
import java.nio.ByteBuffer;
import java.nio.ByteOrder;
import java.util.ArrayList;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import java.util.SplittableRandom;
import java.util.concurrent.TimeUnit;
import java.util.function.UnaryOperator;
import java.util.stream.Stream;
import org.junit.jupiter.api.AfterEach;
import org.junit.jupiter.api.BeforeEach;
import org.junit.jupiter.api.Test;

/** The state of one VM goes into another, in the right order, or is refused with what differs. */
@HvfTest(HvfTest.On.STAND_IN)
class MachineStateTest {
    private static final MachineSpec SPEC =
            MachineSpec.ofVcpus(3).withInterruptController(0x0800_0000L, 0x080a_0000L);
    private static final int CONTROLLER_WORDS = 64;

    private TestHost host;
    private StandIn standIn;
    private GuestRam memory;
    private Hooks hooks;

    @BeforeEach
    void open() throws IOException {
        host = TestHost.open();
        standIn = host.standIn();
        hooks = new Hooks(host.framework());
        memory = TestHost.memory();
    }

    @AfterEach
    void close() throws IOException {
        memory.close();
        host.assertClean();
    }

    private VirtualMachine machine(HypervisorFramework framework, MachineSpec spec) throws IOException {
        VirtualMachine vm = Hvf.over(framework).createVirtualMachine(spec, memory);
        for (int index = 0; index < spec.vcpus(); index++) {
            vm.createVcpu((vcpu, exit) -> false);
        }
        return vm;
    }

    private interface OnMachine<T> {
        T with(VirtualMachine vm) throws IOException;
    }

    /** One after the other: a process has one VM. */
    private <T> T withMachine(HypervisorFramework framework, MachineSpec spec, OnMachine<T> what) throws IOException {
        try (VirtualMachine vm = machine(framework, spec)) {
            return what.with(vm);
        }
    }

    private List<MachineStateSection> scrambled(SplittableRandom random) throws IOException {
        return withMachine(hooks.framework(), SPEC, vm -> {
            scramble(vm, random);
            hooks.forget();
            return MachineState.save(vm).sections();
        });
    }

    /** A random value in every register there is. */
    private void scramble(VirtualMachine vm, SplittableRandom random) throws IOException {
        for (Vcpu vcpu : vm.vcpus()) {
            vcpu.call(own -> {
                for (Register register : Register.values()) {
                    own.set(register, random.nextLong());
                }
                for (int number = 0; number < 32; number++) {
                    byte[] bytes = new byte[16];
                    random.nextBytes(bytes);
                    own.registers().setVector(number, MemorySegment.ofArray(bytes));
                }
                for (SystemRegister register : all()) {
                    own.set(register, random.nextLong());
                }
                for (SystemRegister register : SystemRegister.ICC) {
                    own.registers().setIcc(register, random.nextLong());
                }
                own.registers().setTimerMasked(random.nextBoolean());
                return own;
            });
            vcpu.setLine(InterruptLine.IRQ, random.nextBoolean());
            vcpu.setLine(InterruptLine.FIQ, random.nextBoolean());
            if (random.nextBoolean()) {
                vcpu.start();
            }
        }
        for (int index = 0; index < CONTROLLER_WORDS; index++) {
            standIn.controllerWord(index, random.nextLong());
        }
    }

    private static List<SystemRegister> all() {
        return Stream.of(List.of(SystemRegister.MPIDR_EL1), SystemRegister.SYSTEM, SystemRegister.KEYS,
                SystemRegister.TIMERS).flatMap(List::stream).toList();
    }

    @Test
    void everyPartComesBackAsItWasSaved(Seed seed) throws IOException {
        for (int round = 0; round < Effort.choose(1, 3, 30); round++) {
            List<MachineStateSection> saved = scrambled(seed.random());
            List<MachineStateSection> again = withMachine(hooks.framework(), SPEC, vm -> {
                MachineState.of(saved).load(vm);
                return MachineState.save(vm).sections();
            });
            Map<String, byte[]> expected = bytes(saved);
            Map<String, byte[]> now = bytes(again);
            assertThat(now.keySet()).isEqualTo(expected.keySet());
            for (String name : expected.keySet()) {
                if (!name.equals("hvf.machine")) {
                    assertThat(now.get(name)).as("%s; %s", name, seed).isEqualTo(expected.get(name));
                }
            }
        }
        assertThat(all()).as("identifiers from 0x8000 on").allMatch(register -> register.id() >= 0x8000);
    }

    @Test
    void everySectionIsNamed(Seed seed) throws IOException {
        assertThat(scrambled(seed.random())).extracting(MachineStateSection::name).startsWith(
                "hvf.machine", "hvf.processor", "hvf.gic", "hvf.vcpu0.registers", "hvf.vcpu0.vectors",
                "hvf.vcpu0.system", "hvf.vcpu0.keys", "hvf.vcpu0.timers", "hvf.vcpu0.icc", "hvf.vcpu0.run").hasSize(24);
    }

    @Test
    void whatIsOnAndWhichLinesAreHighIsKept() throws IOException {
        List<MachineStateSection> saved = withMachine(hooks.framework(), SPEC, vm -> {
            vm.vcpus().get(1).start();
            vm.vcpus().get(1).setLine(InterruptLine.FIQ, true);
            vm.vcpus().get(2).setLine(InterruptLine.IRQ, true);
            return vm.saveState();
        });
        withMachine(hooks.framework(), MachineSpec.of(saved), vm -> {
            vm.loadState(saved);
            assertThat(vm.vcpus()).extracting(Vcpu::isOn).containsExactly(false, true, false);
            assertThat(vm.vcpus()).extracting(vcpu -> vcpu.line(InterruptLine.FIQ)).containsExactly(false, true, false);
            assertThat(vm.vcpus()).extracting(vcpu -> vcpu.line(InterruptLine.IRQ)).containsExactly(false, false, true);
            return vm;
        });
    }

    @Test
    void stateIsLoadedInTheOrderThatTheFrameworkNeeds(Seed seed) throws IOException {
        List<MachineStateSection> saved = scrambled(seed.random());
        hooks.forget();
        withMachine(hooks.framework(), SPEC, vm -> {
            hooks.before(call -> {
                if (call.name().equals("hv_gic_set_state")) {
                    assertThat(hooks.calls()).filteredOn(other -> isSet(other, SystemRegister.MPIDR_EL1))
                            .as("each vCPU has its name").hasSizeGreaterThanOrEqualTo(2 * SPEC.vcpus());
                }
            });
            MachineState.of(saved).load(vm);
            return vm;
        });
        List<String> names = hooks.names();
        assertThat(names.indexOf("hv_vm_create")).isLessThan(names.indexOf("hv_gic_create"));
        assertThat(names.indexOf("hv_gic_create")).isLessThan(names.indexOf("hv_vm_map"));
        assertThat(names.lastIndexOf("hv_vm_map")).isLessThan(names.indexOf("hv_vcpu_create"));
        assertThat(names.lastIndexOf("hv_vcpu_create")).isLessThan(names.indexOf("hv_gic_set_state"));
        assertThat(names.indexOf("hv_gic_set_state")).isLessThan(names.indexOf("hv_vcpu_set_reg"));
        assertThat(names).doesNotContain("hv_vcpu_run");
        for (int vcpu = 0; vcpu < SPEC.vcpus(); vcpu++) {
            long id = StandIn.vcpuId(vcpu);
            List<String> own = hooks.calls().stream().filter(call -> !call.arguments().isEmpty()
                    && call.arguments().getFirst().equals(id)).map(Hooks.Call::name).toList();
            assertThat(own.lastIndexOf("hv_vcpu_set_reg")).isLessThan(own.indexOf("hv_vcpu_set_vtimer_offset"));
            assertThat(own.indexOf("hv_vcpu_set_vtimer_offset")).isLessThan(own.indexOf("hv_gic_set_icc_reg"));
            assertThat(own.lastIndexOf("hv_gic_set_icc_reg")).isLessThan(own.indexOf("hv_vcpu_set_pending_interrupt"));
            List<Hooks.Call> timer = hooks.calls().stream().filter(call -> isSet(call, SystemRegister.CNTV_CVAL_EL0)
                    || isSet(call, SystemRegister.CNTV_CTL_EL0)).filter(call -> call.arguments().getFirst().equals(id))
                    .toList();
            assertThat(timer).extracting(call -> call.arguments().get(1)).as("the time before what lets it fire")
                    .containsExactly(SystemRegister.CNTV_CVAL_EL0.id(), SystemRegister.CNTV_CTL_EL0.id());
        }
        assertThat(hooks.calls()).filteredOn(call -> call.name().equals("hv_vcpu_set_vtimer_offset"))
                .extracting(call -> call.arguments().get(1)).as("one offset for all").containsOnly(
                        hooks.calls().stream().filter(call -> call.name().equals("hv_vcpu_set_vtimer_offset"))
                                .findFirst().orElseThrow().arguments().get(1));
    }

    private static boolean isSet(Hooks.Call call, SystemRegister register) {
        return call.name().equals("hv_vcpu_set_sys_reg") && call.arguments().get(1).equals(register.id());
    }

    @Test
    void theControllersStateIsAskedForWhenAllStandStillAndReleased(Seed seed) throws IOException {
        scrambled(seed.random());
        List<String> names = hooks.names();
        assertThat(names.subList(names.indexOf("hv_gic_state_create"), names.indexOf("os_release") + 1))
                .containsExactly("hv_gic_state_create", "hv_gic_state_get_size", "hv_gic_state_get_data", "os_release");
        for (String call : List.of("hv_gic_state_get_size", "hv_gic_state_get_data")) {
            withMachine(hooks.framework(), SPEC, vm -> {
                standIn.fail(call, 1, HvReturn.HV_ERROR);
                assertThatThrownBy(() -> MachineState.save(vm)).hasMessageContaining(call);
                return vm;
            });
        }
        withMachine(hooks.framework(), SPEC, vm -> {
            standIn.fail("hv_gic_state_create", 1, HvReturn.HV_ERROR);
            assertThatThrownBy(() -> MachineState.save(vm)).hasMessageContaining("hv_gic_state_create");
            return vm;
        });
    }

    @Test
    void aMachineThatRunsIsNotSaved() throws IOException {
        withMachine(hooks.framework(), SPEC, vm -> {
            new A64().label("here").jump("here").writeTo(memory.mapping(0), 0);
            Vcpu vcpu = vm.vcpus().get(1);
            vcpu.call(own -> {
                own.set(Register.PC, memory.layout().guestAddress(0));
                own.start();
                return own;
            });
            vcpu.resume();
            assertThatThrownBy(() -> MachineState.save(vm)).isInstanceOf(IllegalStateException.class)
                    .hasMessageContaining("vCPU 1 is running");
            vcpu.pause();
            return MachineState.save(vm);
        });
    }

    /** The host's counter may be anywhere when the guest goes on: after a start, or on another Mac. */
    @Test
    void theGuestsCounterGoesOnFromWhereItWas() throws IOException {
        long day = TimeUnit.DAYS.toNanos(1);
        List<MachineStateSection> saved = withMachine(hooks.framework(), SPEC, vm -> {
            for (Vcpu vcpu : vm.vcpus()) {
                vcpu.call(own -> {
                    own.registers().setTimerOffset(host.framework().mach_absolute_time() - day);
                    return own;
                });
            }
            return MachineState.save(vm).sections();
        });
        withMachine(hooks.framework(), SPEC, vm -> {
            MachineState.of(saved).load(vm);
            for (Vcpu vcpu : vm.vcpus()) {
                long counter = vcpu.<Long>call(own ->
                        host.framework().mach_absolute_time() - own.registers().timerOffset());
                assertThat(counter).isBetween(day, 2 * day);
            }
            return vm;
        });
    }

    /** That a timer has fired follows from the time: it is no state, and reading it back differs from what was set. */
    @Test
    void aTimerThatHasFiredIsSavedAndLoadedWithoutThat() throws IOException {
        List<MachineStateSection> saved = withMachine(hooks.framework(), SPEC, vm -> {
            vm.vcpus().getFirst().call(own -> {
                own.set(SystemRegister.CNTV_CVAL_EL0, 0);
                own.set(SystemRegister.CNTV_CTL_EL0, 1);
                assertThat(own.get(SystemRegister.CNTV_CTL_EL0)).as("enabled, and it has fired").isEqualTo(5);
                return own;
            });
            return MachineState.save(vm).sections();
        });
        ByteBuffer timers = saved.stream().filter(section -> section.name().equals("hvf.vcpu0.timers")).findFirst()
                .orElseThrow().payload().order(ByteOrder.LITTLE_ENDIAN);
        assertThat(timers.getInt(12)).isEqualTo(SystemRegister.CNTV_CTL_EL0.id());
        assertThat(timers.getLong(16)).isOne();
        withMachine(hooks.framework(), SPEC, vm -> {
            MachineState.of(saved).load(vm);
            vm.vcpus().getFirst().call(own -> {
                assertThat(own.get(SystemRegister.CNTV_CTL_EL0)).isEqualTo(5);
                return own;
            });
            return vm;
        });
    }

    @Test
    void anotherBuildOrProcessorIsRefusedWithEveryDifference(Seed seed) throws IOException {
        List<MachineStateSection> saved = scrambled(seed.random());
        standIn.osBuild("25B78");
        standIn.changeIds(0x10);
        withMachine(hooks.framework(), SPEC, vm -> {
            hooks.forget();
            assertThatThrownBy(() -> MachineState.of(saved).load(vm)).isInstanceOfSatisfying(
                    IncompatibleStateException.class, refused -> {
                        assertThat(refused.differences()).hasSize(1 + SystemRegister.IDENTIFICATION.size());
                        assertThat(refused).hasMessageContainingAll("25B78", "24A335", "MIDR_EL1",
                                "0x112233445566c010", "0x112233445566c000", "same build of macOS");
                    });
            assertThat(hooks.names()).as("nothing was changed").noneMatch(name -> name.contains("_set_"));
            return vm;
        });
    }

    @Test
    void aMachineOfAnotherFormIsRefused(Seed seed) throws IOException {
        List<MachineStateSection> saved = scrambled(seed.random());
        for (MachineSpec other : List.of(MachineSpec.ofVcpus(3),
                SPEC.withInterruptController(0x1000_0000L, 0x080a_0000L),
                SPEC.withGranule(MachineSpec.GRANULE_4_KIB))) {
            withMachine(hooks.framework(), other, vm -> {
                assertThat(MachineState.of(saved).differences(vm)).singleElement().asString()
                        .contains("the VM is made of");
                return vm;
            });
        }
    }

    @Test
    void whatTheSystemLacksIsLeftOutAndNamed() throws IOException {
        SystemRegister younger = SystemRegister.of("SCXTNUM_EL1", 3, 0, 13, 0, 7);
        standIn.missingRegister(younger);
        HypervisorFramework older = standIn.framework("hv_gic_state_create", "hv_gic_state_get_size",
                "hv_gic_state_get_data", "hv_gic_set_state", "hv_gic_get_icc_reg", "hv_gic_set_icc_reg");
        List<MachineStateSection> saved = withMachine(older, SPEC, vm -> {
            MachineState state = MachineState.save(vm);
            assertThat(state.omitted()).contains("SCXTNUM_EL1", "interrupt controller (hv_gic_state_create)",
                    "ICC_PMR_EL1").doesNotContain("SCTLR_EL1");
            return state.sections();
        });
        assertThat(saved).extracting(MachineStateSection::name).doesNotContain("hvf.gic");
        withMachine(older, SPEC, vm -> {
            MachineState state = MachineState.of(saved);
            assertThat(state.omitted()).contains("SCXTNUM_EL1");
            assertThat(state.differences(vm)).singleElement().asString().contains("interrupt controller");
            return vm;
        });
        List<MachineStateSection> plain = withMachine(older, MachineSpec.ofVcpus(1), vm ->
                MachineState.save(vm).sections());
        withMachine(older, MachineSpec.ofVcpus(1), vm -> {
            MachineState.of(plain).load(vm);
            return vm;
        });
    }

    @Test
    void stateThatTheFrameworkDoesNotGiveOutIsNamed() throws IOException {
        withMachine(hooks.framework(), SPEC, vm -> {
            assertThat(MachineState.save(vm).omitted()).containsExactly(
                    "streaming mode, ZA and Z registers of the scalable matrix extension");
            return vm;
        });
    }

    @Test
    void aValueThatIsNotKeptFailsTheLoadAndIsNamed(Seed seed) throws IOException {
        List<MachineStateSection> saved = scrambled(seed.random());
        for (SystemRegister register : List.of(SystemRegister.SCTLR_EL1, SystemRegister.KEYS.getLast(),
                SystemRegister.CNTV_CVAL_EL0, SystemRegister.ICC.getFirst())) {
            standIn.ignoreRegister(register);
            withMachine(hooks.framework(), SPEC, vm -> {
                assertThatThrownBy(() -> MachineState.of(saved).load(vm)).isInstanceOf(IncompatibleStateException.class)
                        .hasMessageContainingAll(register.name() + " of vCPU 0 was set to 0x", "and reads 0x0");
                return vm;
            });
        }
    }

    @Test
    void whateverCallFailsItIsSaidAndNothingIsLeft(Seed seed) throws IOException {
        SplittableRandom random = seed.random();
        List<MachineStateSection> saved = scrambled(random);
        int step = Effort.choose(197, 97, 7);
        for (int nth = 1 + random.nextInt(step); ; nth += step) {
            int failing = nth;
            boolean failed = withMachine(hooks.framework(), SPEC, vm -> {
                standIn.fail("", failing, HvReturn.HV_ILLEGAL_GUEST_STATE);
                try {
                    MachineState.of(saved).load(vm);
                    MachineState.save(vm);
                    return false;
                } catch (IOException refused) {
                    // A call that returns an object cannot say why it returned none.
                    assertThat(refused.getMessage()).containsAnyOf("HV_ILLEGAL_GUEST_STATE", "it returned no state");
                    return true;
                } finally {
                    standIn.fail("", 0, HvReturn.HV_SUCCESS);
                }
            });
            assertThat(standIn.leaks()).isEmpty();
            if (!failed) {
                assertThat(nth).as("calls that can fail").isGreaterThan(500);
                return;
            }
        }
    }

    @Test
    void damagedSectionsAreRefused(Seed seed) throws IOException {
        List<MachineStateSection> saved = scrambled(seed.random());
        refused(without(saved, "hvf.machine"), "hvf.machine");
        refused(without(saved, "hvf.processor"), "hvf.processor");
        refused(without(saved, "hvf.vcpu1.keys"), "hvf.vcpu1.keys is missing");
        refused(plus(saved, saved.get(4)), "occurs twice");
        refused(plus(saved, new MachineStateSection("hvf.vcpu3.keys", ByteBuffer.allocate(12))), "hvf.vcpu3.keys");
        refused(plus(saved, new MachineStateSection("hvf.strange", ByteBuffer.allocate(1))), "hvf.strange");
        refused(changed(saved, "hvf.vcpu0.registers", bytes -> ByteBuffer.allocate(8)), "280 expected");
        refused(changed(saved, "hvf.vcpu2.run", bytes -> bytes.putInt(0, 16)), "unknown flags 0x10");
        refused(changed(saved, "hvf.vcpu2.system", bytes -> bytes.limit(bytes.limit() - 1)), "no list");
        refused(changed(saved, "hvf.vcpu2.system", bytes -> bytes.putInt(0, 0x1234)), "register 0x1234");
        refused(changed(saved, "hvf.vcpu2.system", bytes -> bytes.putInt(0, bytes.getInt(12))), "twice");
        refused(changed(saved, "hvf.vcpu2.keys", bytes -> ByteBuffer.allocate(12 * 1000)), "at most 10");
        refused(changed(saved, "hvf.machine", bytes -> ByteBuffer.allocate(3)), "hvf.machine has 3 bytes");
        refused(changed(saved, "hvf.machine", bytes -> ByteBuffer.allocate(70 << 10)), "expected");
        refused(changed(saved, "hvf.machine", bytes -> bytes.putInt(8, 1 << 30)), "vCPUs");
        refused(changed(saved, "hvf.machine", bytes -> bytes.putInt(12, 5)), "granule");
        refused(changed(saved, "hvf.machine", bytes -> bytes.putInt(16, 2)), "interrupt controllers");
        assertThatThrownBy(() -> MachineState.of(changed(saved, "hvf.machine", bytes -> bytes.putInt(0, 2))))
                .isInstanceOf(IncompatibleStateException.class).hasMessageContaining("version 2");
        assertThatThrownBy(() -> MachineState.of(changed(saved, "hvf.machine", bytes -> bytes.putInt(4, 62))))
                .isInstanceOf(IncompatibleStateException.class).hasMessageContaining("architecture 62");
        assertThatThrownBy(() -> MachineState.of(List.of())).isInstanceOf(DamagedException.class)
                .hasMessageContaining("not the whole state of a guest of Hypervisor.framework");
        assertThat(MachineState.of(plus(saved, new MachineStateSection("kvm.clock", ByteBuffer.allocate(1)))).spec())
                .isEqualTo(SPEC);
    }

    /** Random damage is found, or does no harm: what is read is loaded or refused. */
    @Test
    void randomDamageIsRefusedOrLoaded(Seed seed) throws IOException {
        SplittableRandom random = seed.random();
        List<MachineStateSection> saved = scrambled(random);
        for (int round = 0; round < Effort.choose(200, 2000, 50_000); round++) {
            MachineStateSection victim = saved.get(random.nextInt(saved.size()));
            List<MachineStateSection> damaged = changed(saved, victim.name(), bytes -> {
                bytes.put(random.nextInt(bytes.limit()), (byte) random.nextInt());
                return random.nextBoolean() ? bytes : bytes.limit(random.nextInt(bytes.limit() + 1));
            });
            try {
                MachineState.of(damaged);
            } catch (DamagedException | IncompatibleStateException found) {
                assertThat(found.getMessage()).isNotBlank();
            }
        }
    }

    private static void refused(List<MachineStateSection> sections, String because) {
        assertThatThrownBy(() -> MachineState.of(sections)).isInstanceOf(DamagedException.class)
                .hasMessageContaining(because);
    }

    private static List<MachineStateSection> without(List<MachineStateSection> saved, String name) {
        return saved.stream().filter(section -> !section.name().equals(name)).toList();
    }

    private static List<MachineStateSection> plus(List<MachineStateSection> saved, MachineStateSection another) {
        List<MachineStateSection> all = new ArrayList<>(saved);
        all.add(another);
        return all;
    }

    private static List<MachineStateSection> changed(
            List<MachineStateSection> saved, String name, UnaryOperator<ByteBuffer> change) {
        return saved.stream().map(section -> {
            if (!section.name().equals(name)) {
                return section;
            }
            ByteBuffer bytes = ByteBuffer.allocate(section.payload().remaining()).order(ByteOrder.LITTLE_ENDIAN)
                    .put(section.payload()).flip();
            return new MachineStateSection(name, change.apply(bytes));
        }).toList();
    }

    private static Map<String, byte[]> bytes(List<MachineStateSection> sections) {
        Map<String, byte[]> all = new LinkedHashMap<>();
        sections.forEach(section -> all.put(section.name(),
                MemorySegment.ofBuffer(section.payload()).toArray(ValueLayout.JAVA_BYTE)));
        return all;
    }
}
