package io.microsnap.benchmarks;

import static org.assertj.core.api.Assertions.assertThat;

import java.io.PrintWriter;
import java.io.StringWriter;
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
}
