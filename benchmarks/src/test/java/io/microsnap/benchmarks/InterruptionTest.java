package io.microsnap.benchmarks;

import static org.assertj.core.api.Assertions.assertThat;

import io.microsnap.testsupport.Checkout;
import io.microsnap.testsupport.ChildProcess;
import io.microsnap.testsupport.ChildProcesses;
import io.microsnap.testsupport.TinyFileSystem;
import java.io.IOException;
import java.nio.charset.StandardCharsets;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.List;
import java.util.concurrent.TimeUnit;
import java.util.stream.Stream;
import org.junit.jupiter.api.Tag;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;

/**
 * The command is interrupted in the middle of its second row, which has a filesystem, a loop device and a peer in C.
 */
final class InterruptionTest {
    private static final int MOST_SECONDS = 120;

    /** What ends the run, and whom it reaches: a terminal interrupts the whole group. */
    private enum Signal {
        INT(true), KILL(false);

        private final boolean wholeGroup;

        Signal(boolean wholeGroup) {
            this.wholeGroup = wholeGroup;
        }
    }

    @Test
    @Tag("slow")
    void aKilledRunKeepsItsRowsAndLeavesNoProcessNoMountAndNoLoopDevice(@TempDir Path scratch, ChildProcesses children,
            @TinyFileSystem Path mountingWorksHere) throws Exception {
        endInTheMiddle(Signal.KILL, scratch, children);
    }

    @Test
    @Tag("long")
    void aRunThatATerminalInterruptsKeepsItsRowsAndLeavesNoProcessNoMountAndNoLoopDevice(@TempDir Path scratch,
            ChildProcesses children, @TinyFileSystem Path mountingWorksHere) throws Exception {
        endInTheMiddle(Signal.INT, scratch, children);
    }

    private static void endInTheMiddle(Signal signal, Path scratch, ChildProcesses children) throws Exception {
        ChildProcess bench = children.startInterruptible(inItsOwnGroup(scratch));
        bench.awaitLine("publish/ext4 ");
        // The peer of the other row.
        while (ProcessHandle.of(bench.pid()).orElseThrow().descendants().noneMatch(InterruptionTest::isPeer)) {
            Thread.onSpinWait();
        }
        List<ProcessHandle> processes = ProcessHandle.of(bench.pid()).orElseThrow().descendants().toList();
        // The JVM of the scenario, its scratch filesystems, its peer.
        assertThat(processes).hasSizeGreaterThanOrEqualTo(3);
        assertThat(inUse(scratch)).isNotEmpty();

        children.command("kill", "-" + signal, "--", (signal.wholeGroup ? "-" : "") + bench.pid()).awaitExit();
        bench.awaitExit();

        for (ProcessHandle process : processes) {
            process.onExit().get(MOST_SECONDS, TimeUnit.SECONDS);
        }
        // A device goes with the filesystem on it, which writes back first.
        long deadline = System.nanoTime() + TimeUnit.SECONDS.toNanos(MOST_SECONDS);
        while (!inUse(scratch).isEmpty() && System.nanoTime() < deadline) {
            Thread.onSpinWait();
        }
        assertThat(inUse(scratch)).isEmpty();
        assertThat(RunFile.read(scratch.resolve("run.json")).rows()).extracting(Row::name)
                .containsExactly("publish/ext4");
    }

    private static boolean isPeer(ProcessHandle process) {
        return process.info().command().orElse("").endsWith("/publish");
    }

    private static ProcessBuilder inItsOwnGroup(Path scratch) {
        ProcessBuilder builder = new ProcessBuilder("setsid",
                Path.of(System.getProperty("java.home"), "bin", "java").toString(), "@" + Checkout.jvmOptions(),
                "-cp", System.getProperty("java.class.path"), Main.class.getName(), "--pairs", "3",
                "--json", scratch.resolve("run.json").toString(), "^publish/ext4$", "^publish/xfs$");
        builder.environment().put("MICROSNAP_SCRATCH", scratch.toString());
        return builder;
    }

    /** Mounts and loop devices of one scratch directory. */
    private static List<String> inUse(Path scratch) throws IOException, InterruptedException {
        Process devices = new ProcessBuilder("losetup", "--noheadings", "--raw", "--output", "NAME,BACK-FILE").start();
        String loops = new String(devices.getInputStream().readAllBytes(), StandardCharsets.UTF_8);
        devices.waitFor();
        return Stream.concat(Files.readAllLines(Path.of("/proc/mounts")).stream(), loops.lines())
                .filter(line -> line.contains(scratch.toString())).toList();
    }
}
