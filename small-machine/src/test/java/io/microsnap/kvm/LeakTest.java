package io.microsnap.kvm;

import static org.assertj.core.api.Assertions.assertThat;

import io.microsnap.testsupport.Checkout;
import io.microsnap.testsupport.ChildProcess;
import io.microsnap.testsupport.ChildProcesses;
import io.microsnap.testsupport.Effort;
import java.nio.file.Path;
import java.util.List;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;

@KvmTest
class LeakTest {
    /** The JVM itself grows a little for ever; a page lost for each machine would come to more than both. */
    private static final long JVM_BYTES = 1 << 20;
    private static final long JVM_BYTES_A_MACHINE = 2048;

    @Test
    void manyMachinesMadeRunSnapshottedAndClosedLeaveNothing(ChildProcesses processes, @TempDir Path directory) {
        int machines = Effort.choose(50, 100, 1000);
        ProcessBuilder command = new ProcessBuilder(List.of(
                ProcessHandle.current().info().command().orElseThrow(), "@" + Checkout.jvmOptions(),
                // A heap that is all there from the beginning, and no compiler: that takes megabytes when it pleases.
                "-Xms96m", "-Xmx96m", "-XX:+AlwaysPreTouch", "-XX:+UseSerialGC", "-Xint",
                "-cp", System.getProperty("java.class.path"),
                ManyMachines.class.getName(), directory.toString(), String.valueOf(machines)));
        // Threads that meet in the allocator get an arena each, with mappings of its own, which stay.
        command.environment().put("MALLOC_ARENA_MAX", "1");
        ChildProcess living = processes.start(command);
        for (int done = 0; done <= machines; done += ManyMachines.BETWEEN_LOOKS) {
            living.awaitLine(done + " machines");
        }
        ChildProcess.Exit exit = living.awaitExit();
        assertThat(exit.status()).as(exit.output() + exit.errors()).isZero();
        List<String> words = List.of(exit.output().lines().filter(line -> line.startsWith("grown ")).findFirst()
                .orElseThrow().split(" ", -1));
        assertThat(Long.parseLong(words.get(1))).as("descriptors").isZero();
        assertThat(Long.parseLong(words.get(2))).as("mappings; " + exit.output()).isLessThanOrEqualTo(machines / 100);
        assertThat(Long.parseLong(words.get(3))).as("anonymous memory, bytes; " + exit.output())
                .isLessThan(JVM_BYTES + machines * JVM_BYTES_A_MACHINE);
    }
}
