package io.microsnap.cli;

import static org.assertj.core.api.Assertions.assertThat;

import java.io.PrintWriter;
import java.io.StringWriter;
import org.junit.jupiter.api.Test;
import picocli.CommandLine;

final class MainTest {

    private final StringWriter output = new StringWriter();
    private final StringWriter errors = new StringWriter();

    @Test
    void helpSaysWhatItIsFor() {
        assertThat(run("--help")).isZero();
        assertThat(output.toString()).contains("Usage: microsnap", "Snapshots of microVM memory");
    }

    @Test
    void noCommandIsWrongUsage() {
        assertThat(run()).isEqualTo(2);
        assertThat(errors.toString()).contains("which command?", "microsnap --help");
    }

    @Test
    void onlyTheNamedCommandIsRead() {
        assertThat(Main.knownFor("list")).containsExactly(ListSnapshots.class);
        // These speak of all of them.
        assertThat(Main.knownFor("help")).contains(Bake.class, Doctor.class);
        assertThat(Main.knownFor("--help")).contains(Bake.class, Doctor.class);
        assertThat(Main.knownFor("lisst")).contains(Bake.class, Doctor.class);
    }

    private int run(String... arguments) {
        CommandLine commandLine = Main.commandLine();
        commandLine.setOut(new PrintWriter(output));
        commandLine.setErr(new PrintWriter(errors));
        return commandLine.execute(arguments);
    }
}
