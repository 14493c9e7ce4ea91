package io.microsnap.hvf;

import static org.assertj.core.api.Assertions.assertThat;

import io.microsnap.core.internal.file.GuestRam;
import java.io.IOException;
import org.junit.jupiter.api.Test;

/** What only the real framework can show: that it is there, may be used, and knows the registers by these names. */
@HvfTest(HvfTest.On.REAL)
class RealFrameworkTest {
    @Test
    void aVmWithItsVcpuIsMadeAndAllOfItsStateIsKnown() throws IOException {
        Hvf hvf = Hvf.open();
        assertThat(hvf.osBuild()).isNotEmpty();
        hvf.probe();
        try (GuestRam memory = TestHost.memory();
                VirtualMachine vm = hvf.createVirtualMachine(MachineSpec.ofVcpus(1), memory)) {
            vm.createVcpu((vcpu, exit) -> false);
            MachineState state = MachineState.save(vm);
            System.out.println("macOS " + hvf.osBuild() + " lacks the functions " + hvf.missing()
                    + " and does not give out " + state.omitted());
            assertThat(state.omitted()).doesNotContain("SCTLR_EL1", "APIAKEYLO_EL1", "CNTV_CVAL_EL0");
            MachineState.of(state.sections()).load(vm);
        }
    }
}
