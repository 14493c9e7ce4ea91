package io.microsnap.memory.misuse;

import static org.assertj.core.api.Assertions.assertThat;

import io.microsnap.testsupport.ChildProcess;
import io.microsnap.testsupport.ChildProcesses;
import io.microsnap.testsupport.Effort;
import io.microsnap.testsupport.FileSystemKind;
import io.microsnap.testsupport.RealFileSystems;
import io.microsnap.testsupport.Seed;
import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.Map;
import java.util.SplittableRandom;
import org.junit.jupiter.api.Tag;
import org.junit.jupiter.api.condition.EnabledOnOs;
import org.junit.jupiter.api.condition.OS;

/** Whatever users do wrong, the process lives, no guest gets wrong bytes, and nothing is left open. */
@EnabledOnOs(value = OS.LINUX, disabledReason = "elsewhere mappings are neither limited nor told")
class MisuseCampaignTest {
    /** Children, and rounds in each, so that none takes longer than a test waits. */
    private static final int CHILDREN = Effort.choose(1, 1, 25);
    private static final int ROOMY = Effort.choose(60, 165, 160);
    private static final int SMALL_HEAP = Effort.choose(12, 36, 40);
    private static final String OFF_HEAP_IS_COUNTED = "-XX:NativeMemoryTracking=summary";

    @RealFileSystems(FileSystemKind.TMPFS)
    void aProcessSurvivesItsUsers(Path directory, ChildProcesses children, Seed seed)
            throws IOException {
        survives(children, seed, directory, ROOMY, MisuseCampaign.Ways.ROOMY, OFF_HEAP_IS_COUNTED + " -Xmx256m");
    }

    /** A heap that is full ends as the JVM's own threads decide: for campaigns, whose rare failures are looked into. */
    @Tag("long")
    @RealFileSystems(FileSystemKind.TMPFS)
    void aProcessWithoutHeapToSpareSurvivesItsUsers(Path directory, ChildProcesses children, Seed seed)
            throws IOException {
        survives(children, seed, directory, SMALL_HEAP, MisuseCampaign.Ways.SMALL_HEAP,
                OFF_HEAP_IS_COUNTED + " -Xmx20m");
    }

    private static void survives(ChildProcesses children, Seed seed, Path directory, int rounds,
            MisuseCampaign.Ways ways, String options) throws IOException {
        SplittableRandom seeds = seed.random();
        for (int child = 0; child < CHILDREN; child++) {
            long childSeed = child == 0 ? seed.value() : seeds.nextLong();
            Path own = Files.createDirectory(directory.resolve(Integer.toString(child)));
            ChildProcess.Exit exit = children.java(Map.of("JDK_JAVA_OPTIONS", options), MisuseCampaign.class,
                    own.toString(), Long.toString(childSeed),
                    Integer.toString(rounds), ways.name()).awaitExit();
            assertThat(exit.status()).as("seed " + childSeed + "\n" + exit.output() + exit.errors()).isZero();
            assertThat(exit.output()).contains("survived " + rounds + " rounds");
        }
    }
}
