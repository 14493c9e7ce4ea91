package io.microsnap.benchmarks;

import static org.assertj.core.api.Assertions.assertThat;

import io.microsnap.testsupport.ChildProcess;
import io.microsnap.testsupport.ChildProcesses;
import java.io.BufferedReader;
import java.nio.charset.StandardCharsets;
import java.util.concurrent.TimeUnit;
import org.junit.jupiter.api.Test;

final class TetheredTest {
    private static final int MOST_SECONDS = 60;
    private static final String[] ENDLESS = {"sh", "-c", "echo $$; exec tail -f /dev/null"};

    @Test
    void aCommandHasItsOwnStatusAndOutput() throws Exception {
        Process command = Tethered.start("sh", "-c", "echo out; echo err >&2; exit 3");
        assertThat(new String(command.getInputStream().readAllBytes(), StandardCharsets.UTF_8)).isEqualTo("out\nerr\n");
        assertThat(command.waitFor()).isEqualTo(3);
    }

    @Test
    void anEndlessCommandEndsWhenAsked() throws Exception {
        Process command = Tethered.start(ENDLESS);
        ProcessHandle endless = handle(command.inputReader());
        Tethered.end(command);
        endless.onExit().get(MOST_SECONDS, TimeUnit.SECONDS);
    }

    @Test
    void anEndlessCommandEndsWhenItsJvmIsKilled(ChildProcesses children) throws Exception {
        ChildProcess jvm = children.java(Starter.class);
        String line = jvm.awaitLine("command ");
        ProcessHandle endless = ProcessHandle.of(Long.parseLong(line.substring("command ".length()))).orElseThrow();
        assertThat(jvm.kill().wasKilled()).isTrue();
        endless.onExit().get(MOST_SECONDS, TimeUnit.SECONDS);
    }

    private static ProcessHandle handle(BufferedReader output) throws Exception {
        return ProcessHandle.of(Long.parseLong(output.readLine())).orElseThrow();
    }

    /** Starts the command, and waits. */
    static final class Starter {
        public static void main(String[] arguments) throws Exception {
            Process command = Tethered.start(ENDLESS);
            System.out.println("command " + command.inputReader().readLine());
            command.waitFor();
        }
    }
}
