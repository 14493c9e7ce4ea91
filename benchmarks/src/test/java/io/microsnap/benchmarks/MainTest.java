package io.microsnap.benchmarks;

import static org.assertj.core.api.Assertions.assertThat;

import java.io.PrintWriter;
import java.io.StringWriter;
import java.util.Set;
import org.junit.jupiter.api.Test;
import picocli.CommandLine;

class MainTest {

    @Test
    void aPatternThatNamesNoScenarioIsRefusedAndNotTakenForSuccess() {
        StringWriter said = new StringWriter();
        CommandLine scenarios = new CommandLine(new Main.ScenarioCommand()).setErr(new PrintWriter(said));

        int status = scenarios.execute("^no-scenario$", "^nor-this$");

        assertThat(status).isEqualTo(2);
        assertThat(said.toString()).startsWith(
                "no scenario has a name in which ^no-scenario$ or ^nor-this$ is found; --list names them all");
    }

    @Test
    void aScenarioIsAskedForByItsWholeNameInAJvmOfItsOwn() throws Exception {
        // A part of many names, and of none the whole.
        assertThat(OwnJvm.run("kvm-harvest", 1)).isEqualTo(2);
    }

    @Test
    void theWorstThatHappenedIsWhatManyEndWith() {
        assertThat(Main.ScenarioCommand.worst(Set.of(0))).isZero();
        assertThat(Main.ScenarioCommand.worst(Set.of(0, 4))).isEqualTo(4);
        assertThat(Main.ScenarioCommand.worst(Set.of(0, 4, 1))).isEqualTo(1);
        assertThat(Main.ScenarioCommand.worst(Set.of(137))).isEqualTo(1);
    }
}
