package io.microsnap.cli;

import static org.assertj.core.api.Assertions.assertThat;

import io.microsnap.core.internal.posix.Posix;
import io.microsnap.core.testing.StandInMac;
import java.io.ByteArrayOutputStream;
import java.io.PrintStream;
import java.nio.charset.StandardCharsets;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.condition.EnabledOnOs;
import org.junit.jupiter.api.condition.OS;

/** Which hypervisor the doctor asks after. */
@EnabledOnOs(OS.LINUX)
class DoctorTest {
    @Test
    void onAMacItIsHypervisorFramework() {
        assertThat(findings(StandInMac.host()))
                .contains("missing Hypervisor.framework: ", "guests run on it", "to get it: ", "running-on-macos.md")
                .doesNotContain("/dev/kvm", "KVM");
    }

    @Test
    void onLinuxItIsKvm() {
        assertThat(findings(Posix.host())).contains("KVM: ").doesNotContain("Hypervisor.framework");
    }

    private static String findings(Posix posix) {
        ByteArrayOutputStream results = new ByteArrayOutputStream();
        PrintStream stream = new PrintStream(results, true, StandardCharsets.UTF_8);
        new Doctor().hypervisor(new Console(posix, new CommonOptions(), new Interruption(), stream, stream), posix);
        return results.toString(StandardCharsets.UTF_8).replaceAll("\\s+", " ");
    }
}
