package io.microsnap.core.internal.posix;

import static org.assertj.core.api.Assertions.assertThat;

import io.microsnap.testsupport.ChildProcess;
import io.microsnap.testsupport.ChildProcesses;
import java.util.ArrayList;
import java.util.List;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.CsvSource;

class UnsupportedSystemTest {
    @ParameterizedTest
    @CsvSource({"Windows 11, amd64", "FreeBSD, amd64", "Mac OS X, x86_64"})
    void isAnExceptionWithOneLineEveryTime(String system, String architecture, ChildProcesses children)
            throws Exception {
        List<String> command = new ArrayList<>(List.of(ProcessHandle.current().info().command().orElseThrow(),
                "-cp", System.getProperty("java.class.path"), Asks.class.getName(), system, architecture));
        ChildProcess child = children.start(new ProcessBuilder(command));
        ChildProcess.Exit exit = child.awaitExit();
        String line = "microsnap does not know the system calls of " + system + " on " + architecture;
        assertThat(exit.output().lines().toList()).hasSize(2).allMatch(told -> told.startsWith(line));
        assertThat(exit.errors()).isEmpty();
    }

    /** Asks twice: a class initializer fails in another way the second time. */
    static final class Asks {
        private Asks() {
        }

        public static void main(String[] arguments) {
            // As a Java on such a system would say; its own classes are not to be misled.
            System.setProperty("os.name", arguments[0]);
            System.setProperty("os.arch", arguments[1]);
            for (int time = 0; time < 2; time++) {
                try {
                    Posix.host();
                } catch (UnsupportedOperationException expected) {
                    System.out.println(expected.getMessage());
                }
            }
        }
    }
}
