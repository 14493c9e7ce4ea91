package io.microsnap.hvf.internal.binding;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;

import io.microsnap.hvf.HvfTest;
import io.microsnap.hvf.SystemRegister;
import java.lang.foreign.Arena;
import java.lang.foreign.FunctionDescriptor;
import java.lang.foreign.Linker;
import java.lang.foreign.MemorySegment;
import java.lang.foreign.SymbolLookup;
import java.lang.foreign.ValueLayout;
import java.util.Optional;
import org.junit.jupiter.api.AfterEach;
import org.junit.jupiter.api.BeforeEach;
import org.junit.jupiter.api.Test;

/** How the framework is found, and what becomes of arguments on their way to it. */
@HvfTest(HvfTest.On.STAND_IN)
class NativeFrameworkTest {
    private StandIn standIn;
    private HypervisorFramework framework;

    @BeforeEach
    void open() {
        standIn = StandIn.fresh();
        framework = standIn.framework();
    }

    @AfterEach
    void nothingIsLeft() {
        assertThat(standIn.leaks()).isEmpty();
    }

    @Test
    void onAnotherSystemItIsOneClearException() {
        assertThatThrownBy(() -> NativeFramework.ofThisMac("Linux", "amd64"))
                .isInstanceOf(HypervisorException.class)
                .hasMessageContainingAll("Hypervisor.framework", "Linux", "hypervisor-kvm").hasNoCause();
        assertThatThrownBy(() -> NativeFramework.ofThisMac("Mac OS X", "x86_64"))
                .isInstanceOf(HypervisorException.class).hasMessageContainingAll("Apple silicon", "x86_64", "Rosetta");
        // As on a Mac without the framework: the name is not found.
        assertThatThrownBy(() -> NativeFramework.ofThisMac("Mac OS X", "aarch64"))
                .isInstanceOf(HypervisorException.class).hasMessageContaining("Hypervisor.framework");
    }

    @Test
    void functionsOfLaterSystemsMayLackAndAreNamed() {
        HypervisorFramework older = standIn.framework("hv_gic_state_create", "hv_gic_set_state",
                "hv_vm_config_set_ipa_granule");
        assertThat(older.missing()).containsExactlyInAnyOrder("hv_gic_state_create", "hv_gic_set_state",
                "hv_vm_config_set_ipa_granule");
        assertThat(older.hv_gic_state_create()).isEqualTo(MemorySegment.NULL);
        assertThat(older.hv_vm_config_set_ipa_granule(MemorySegment.NULL, 0))
                .isEqualTo(HvReturn.HV_UNSUPPORTED.number());
        assertThat(framework.missing()).isEmpty();
    }

    @Test
    void withoutAFunctionThatEverySystemHasItIsNotUsed() {
        SymbolLookup library = standIn.library();
        SymbolLookup without = name -> name.equals("hv_vm_protect") ? Optional.empty() : library.find(name);
        assertThatThrownBy(() -> new NativeFramework(without, library, VectorCode.AARCH64))
                .isInstanceOf(HypervisorException.class).hasMessageContainingAll("hv_vm_protect", "macOS");
    }

    @Test
    void identifiersFrom0x8000OnAndTruthValuesArriveWithoutMore() {
        withVcpu((vcpu, memory) -> {
            char highest = SystemRegister.of("CNTV_CVAL_EL0", 3, 3, 14, 3, 2).id();
            assertThat((int) highest).isEqualTo(0xdf1a);
            assertThat(framework.hv_vcpu_set_sys_reg(vcpu, highest, -2)).isZero();
            assertThat(framework.hv_vcpu_get_sys_reg(vcpu, highest, memory)).isZero();
            assertThat(memory.get(ValueLayout.JAVA_LONG, 0)).isEqualTo(-2);
            assertThat(framework.hv_vcpu_set_vtimer_mask(vcpu, true)).isZero();
            assertThat(framework.hv_vcpu_set_pending_interrupt(vcpu, 1, true)).isZero();
            assertThat(framework.hv_vcpu_get_pending_interrupt(vcpu, 1, memory)).isZero();
            assertThat(memory.get(ValueLayout.JAVA_BYTE, 0)).isOne();
            assertThat(standIn.violation()).isEmpty();
        });
    }

    /** That the stand-in would notice. */
    @Test
    @SuppressWarnings("restricted")
    void asAShortAnIdentifierArrivesWithItsSign() {
        withVcpu((vcpu, memory) -> {
            var handle = Linker.nativeLinker().downcallHandle(
                    standIn.library().find("hv_vcpu_set_sys_reg").orElseThrow(),
                    FunctionDescriptor.of(ValueLayout.JAVA_INT, ValueLayout.JAVA_LONG, ValueLayout.JAVA_SHORT,
                            ValueLayout.JAVA_LONG));
            assertThat((int) handle.invokeExact(vcpu, (short) 0xc080, 1L))
                    .isEqualTo(HvReturn.HV_BAD_ARGUMENT.number());
            assertThat(standIn.violation()).contains("high bits");
        });
    }

    @Test
    void aVectorIsPassedByValue() {
        withVcpu((vcpu, memory) -> {
            memory.set(ValueLayout.JAVA_LONG, 0, 0x0123_4567_89ab_cdefL);
            memory.set(ValueLayout.JAVA_LONG, 8, 0xfedc_ba98_7654_3210L);
            assertThat(framework.hv_vcpu_set_simd_fp_reg(vcpu, 31, memory)).isZero();
            memory.fill((byte) 0);
            assertThat(framework.hv_vcpu_get_simd_fp_reg(vcpu, 31, memory)).isZero();
            assertThat(memory.get(ValueLayout.JAVA_LONG, 0)).isEqualTo(0x0123_4567_89ab_cdefL);
            assertThat(memory.get(ValueLayout.JAVA_LONG, 8)).isEqualTo(0xfedc_ba98_7654_3210L);
            assertThat(standIn.flushed()).as("the code was announced").isOne();
        });
        assertThatThrownBy(() -> framework.hv_vcpu_set_simd_fp_reg(0, 0, MemorySegment.ofArray(new long[1])))
                .isInstanceOf(IllegalArgumentException.class);
    }

    @Test
    void resultsCarryTheirRemedy() {
        assertThat(HypervisorException.of(0xfae9_4007, "hv_vm_create", "")).hasMessageContainingAll(
                "hv_vm_create failed with HV_DENIED", "com.apple.security.hypervisor", "docs/running-on-macos.md");
        assertThat(HypervisorException.of(0xfae9_400f, "hv_vm_create", "")).hasMessageContainingAll("HV_UNSUPPORTED",
                "com.apple.security.hypervisor");
        assertThat(HypervisorException.of(0xfae9_4002, "hv_vm_create", "")).hasMessageContaining("one VM");
        HypervisorException strange = HypervisorException.of(0x1234, "hv_vm_map", "of 1 byte");
        assertThat(strange).hasMessage("hv_vm_map of 1 byte failed with 0x1234");
        assertThat(strange.result()).isEqualTo(HvReturn.UNKNOWN);
    }

    private interface OnVcpu {
        void with(long vcpu, MemorySegment memory) throws Throwable;
    }

    private void withVcpu(OnVcpu test) {
        try (Arena arena = Arena.ofConfined()) {
            MemorySegment memory = arena.allocate(16, 16);
            assertThat(framework.hv_vm_create(MemorySegment.NULL)).isZero();
            assertThat(framework.hv_vcpu_create(memory, memory.asSlice(8), MemorySegment.NULL)).isZero();
            long vcpu = memory.get(ValueLayout.JAVA_LONG, 0);
            try {
                test.with(vcpu, memory);
            } catch (RuntimeException | Error thrown) {
                throw thrown;
            } catch (Throwable thrown) {
                throw new IllegalStateException(thrown);
            } finally {
                assertThat(framework.hv_vcpu_destroy(vcpu)).isZero();
                assertThat(framework.hv_vm_destroy()).isZero();
            }
        }
    }
}
