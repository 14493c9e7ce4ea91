package io.microsnap.cli;

import static org.assertj.core.api.Assertions.assertThat;

import java.io.PrintWriter;
import java.io.StringWriter;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.CsvSource;
import picocli.CommandLine;

/** Options of the doors to other VMMs that do not go together are refused before anything is looked at. */
class ExternalGuestTest {
    @ParameterizedTest
    @CsvSource(delimiter = '|', value = {
        "bake --store s --id i                                     | which guest?",
        "bake --store s --id i --qmp q --ram r                     | leave out --ram, --state and --region",
        "bake --store s --id i --qmp q --diff --base p             | --diff is for Firecracker",
        "bake --store s --id i --firecracker f --diff              | needs the --base",
        "bake --store s --id i --qmp q --firecracker f             | mutually exclusive",
        "restore --store s --id i                                  | or make a directory for a VMM",
        "restore --store s --id i --qemu d --to f                  | a directory for a VMM is always new",
        "restore --store s --id i --qemu d --firecracker e         | mutually exclusive",
        "resume --from d                                           | which VMM?",
        "import --store s --id i                                   | --firecracker",
        "import --store s --id i --firecracker m v --diff          | needs the --base",
        "import --store s --id i --cloud-hypervisor d --diff       | are for --firecracker",
        "import --store s --id i --firecracker m v --region 1G     | has no ':'",
        "run --store s --id i                                      | COMMAND",
    })
    void optionsThatDoNotGoTogetherAreRefused(String line, String message) {
        CommandLine command = Main.commandLine();
        StringWriter said = new StringWriter();
        command.setErr(new PrintWriter(said, true));
        assertThat(command.execute(line.strip().split(" +", -1))).isEqualTo(ExitStatus.USAGE);
        assertThat(said.toString()).contains(message);
    }
}
