package io.microsnap.dirty;

import static org.assertj.core.api.Assertions.assertThat;

import io.microsnap.core.GuestLayout;
import io.microsnap.testsupport.ChildProcess;
import io.microsnap.testsupport.ChildProcesses;
import java.nio.file.Path;
import org.junit.jupiter.api.Test;

/** A JVM without the flag gets a message when a tracker is made, and the line in that message is enough. */
class AgronaAccessTest {
    @Test
    void aTrackerSaysWhichFlagItNeedsAndThatFlagIsEnough(ChildProcesses children) throws Exception {
        ChildProcess.Exit refused = run(children);
        assertThat(refused.status()).as(refused.toString()).isEqualTo(1);
        String line = refused.output().strip();
        assertThat(line).endsWith("start it with --add-exports=java.base/jdk.internal.misc=ALL-UNNAMED");
        ChildProcess.Exit made = run(children, line.substring(line.indexOf("--add-exports")));
        assertThat(made.status()).as(made.toString()).isZero();
        assertThat(made.output()).contains("1 of 16 blocks");
    }

    private static ChildProcess.Exit run(ChildProcesses children, String... flags) throws Exception {
        String java = Path.of(System.getProperty("java.home"), "bin", "java").toString();
        String[] command = new String[flags.length + 4];
        command[0] = java;
        System.arraycopy(flags, 0, command, 1, flags.length);
        command[flags.length + 1] = "-cp";
        command[flags.length + 2] = System.getProperty("java.class.path");
        command[flags.length + 3] = Marks.class.getName();
        return children.command(command).awaitExit();
    }

    /** Marks a page and says so. */
    static final class Marks {
        private Marks() {
        }

        static void main(String... arguments) throws Exception {
            GuestLayout layout = GuestLayout.ofSingleRegion(4096, 16 * 4096);
            try (DirtyTracker tracker = DirtyTracker.ofMarks(layout)) {
                tracker.markWritten(0, 1);
                System.out.println(tracker.harvest().bitmap());
            } catch (UnsupportedOperationException refused) {
                System.out.println(refused.getMessage());
                System.exit(1);
            }
        }
    }
}
