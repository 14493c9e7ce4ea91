package io.microsnap.memory;

import static org.assertj.core.api.Assertions.assertThat;

import io.microsnap.testsupport.Checkout;
import io.microsnap.testsupport.ChildProcess;
import io.microsnap.testsupport.ChildProcesses;
import io.microsnap.testsupport.Effort;
import java.nio.file.Path;
import java.util.List;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.condition.EnabledOnOs;
import org.junit.jupiter.api.condition.OS;
import org.junit.jupiter.api.io.TempDir;

/** What is closed does not wait for a collection of garbage, which may be far away where the heap is large. */
final class OffHeapTest {
    private static final int LIVES = Effort.choose(5, 20, 100);
    /** Bitmaps, which late marks may still meet, and machine state: a bitmap of this guest has 256 bytes. */
    private static final long BYTES_A_LIFE = 16 << 10;

    @Test
    @EnabledOnOs(value = OS.LINUX, disabledReason = "elsewhere no source tells what is written")
    void manyLivesOfAGuestLeaveNextToNothingOffTheHeap(ChildProcesses children, @TempDir Path directory) {
        ChildProcess living = children.start(new ProcessBuilder(List.of(
                ProcessHandle.current().info().command().orElseThrow(), "@" + Checkout.jvmOptions(),
                "-XX:TieredStopAtLevel=1", "-XX:+UnlockExperimentalVMOptions", "-XX:+UseEpsilonGC", "-Xmx3g",
                "-XX:NativeMemoryTracking=summary",
                "-cp", System.getProperty("java.class.path"),
                ManyLives.class.getName(), directory.toString(), Integer.toString(LIVES))));
        ChildProcess.Exit exit = living.awaitExit();
        assertThat(exit.status()).as(exit.output() + exit.errors()).isZero();
        String grown = exit.output().lines().filter(line -> line.startsWith("grown ")).findFirst().orElseThrow();
        assertThat(Long.parseLong(grown.substring(6))).isLessThan(LIVES * BYTES_A_LIFE);
    }
}
