package io.microsnap.testsupport;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;

import java.io.BufferedReader;
import java.io.IOException;
import java.io.InputStreamReader;
import java.nio.charset.StandardCharsets;
import java.util.concurrent.TimeUnit;
import org.junit.jupiter.api.Test;

final class ChildProcessesTest {

    /** Repeats what it is sent. */
    static final class Echo {

        private Echo() {
        }

        public static void main(String[] arguments) throws IOException {
            System.out.println("ready " + String.join(",", arguments));
            BufferedReader lines = new BufferedReader(new InputStreamReader(System.in, StandardCharsets.UTF_8));
            for (String line = lines.readLine(); line != null; line = lines.readLine()) {
                System.out.println("heard " + line);
            }
            System.err.println("goodbye");
            System.exit(7);
        }
    }

    @Test
    void aJavaChildRunsOurClassesAndIsTalkedTo(ChildProcesses children) {
        ChildProcess echo = children.java(Echo.class, "one", "two");
        assertThat(echo.awaitLine("ready")).isEqualTo("ready one,two");
        echo.send("hello");
        echo.send("again");
        assertThat(echo.awaitLine("again")).isEqualTo("heard again");
        echo.endInput();
        assertThat(echo.awaitExit()).isEqualTo(
                new ChildProcess.Exit(7, "ready one,two\nheard hello\nheard again\n", "goodbye\n"));
    }

    @Test
    void whatAChildSaysUpToALineIsGivenOnceAndWhole(ChildProcesses children) {
        ChildProcess echo = children.java(Echo.class);
        echo.send("one");
        echo.send("two");
        echo.send("three");
        assertThat(echo.outputThrough("two")).isEqualTo("ready \nheard one\nheard two\n");
        echo.endInput();
        assertThat(echo.outputThrough("three")).isEqualTo("heard three\n");
        assertThat(echo.errorsThrough("good")).isEqualTo("goodbye\n");
    }

    @Test
    void aKilledChildIsDeadWhenKillReturns(ChildProcesses children) {
        ChildProcess echo = children.java(Echo.class);
        echo.awaitLine("ready");
        assertThat(echo.kill().wasKilled()).isTrue();
        assertThat(ProcessHandle.of(echo.pid())).isEmpty();
    }

    @Test
    void aChildThatEndsBeforeItSaysTheAwaitedLineFailsTheTestWithWhatItSaid(ChildProcesses children) {
        ChildProcess echo = children.java(Echo.class);
        echo.endInput();
        assertThatThrownBy(() -> echo.awaitLine("never said"))
                .isInstanceOf(AssertionError.class)
                .hasMessageContaining("never said")
                .hasMessageContaining("ready");
    }

    @Test
    void childrenStillRunningWhenTheTestEndsAreKilledWithTheirOwnChildren() throws Exception {
        ChildProcess shell;
        ProcessHandle grandchild;
        try (ChildProcesses children = new ChildProcesses()) {
            shell = children.command("sh", "-c", "sleep 1000 & echo grandchild $!; wait");
            long pid = Long.parseLong(shell.awaitLine("grandchild ").split(" ", 2)[1]);
            grandchild = ProcessHandle.of(pid).orElseThrow();
        }
        assertThat(ProcessHandle.of(shell.pid())).isEmpty();
        grandchild.onExit().get(2, TimeUnit.MINUTES);
    }
}
