package io.microsnap.cli;

import static org.assertj.core.api.Assertions.assertThat;
import static org.junit.jupiter.api.Assumptions.assumeTrue;

import io.microsnap.testsupport.ChildProcesses;
import io.microsnap.testsupport.FileSystemKind;
import io.microsnap.testsupport.RealFileSystems;
import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.List;
import java.util.Map;
import java.util.Set;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;
import org.junit.jupiter.api.parallel.Execution;
import org.junit.jupiter.api.parallel.ExecutionMode;

/** The first thing that anybody runs. */
@Execution(ExecutionMode.CONCURRENT)
class DemoTest {
    @TempDir
    private Path directory;

    @Test
    void aSimulatedGuestGoesOnFromEverySnapshot(ChildProcesses processes) throws IOException {
        Map<?, ?> demo = new Launcher(processes, directory)
                .json(0, "demo", "--guest", "simulated", "--ram", "32M", "--store", "s");
        assertThat(demo.get("guest")).isEqualTo("simulated");
        assertWhole(demo, 32L << 20);
        assertThat((List<?>) new Launcher(processes, directory).json(0, "list", "--store", "s").get("snapshots"))
                .hasSize(5);
    }

    @Test
    void aRealGuestGoesOnFromEverySnapshot(ChildProcesses processes) throws IOException {
        assumeTrue(Files.isReadable(Path.of("/dev/kvm")) && Files.isWritable(Path.of("/dev/kvm")),
                "/dev/kvm cannot be opened; modprobe kvm_intel or kvm_amd, and join the group kvm");
        Map<?, ?> demo = new Launcher(processes, directory).json(0, "demo", "--guest", "kvm", "--ram", "32M");
        assertThat(demo.get("guest")).isEqualTo("kvm");
        assertWhole(demo, 32L << 20);
    }

    @RealFileSystems(FileSystemKind.XFS)
    void whereBlocksCanBeSharedSnapshotsGoOntoTheirBaseAndASiblingIsDeduplicated(
            Path place, ChildProcesses processes) throws IOException {
        Map<?, ?> demo = new Launcher(processes, directory).json(0, "demo", "--guest", "simulated", "--ram", "32M",
                "--store", place.resolve("store").toString());
        assertWhole(demo, 32L << 20);
        assertThat(demo.get("reflink")).isEqualTo(true);
        assertThat(demo.get("filesystem")).isEqualTo("xfs");
        assertThat(((List<?>) demo.get("steps")).stream().map(step -> ((Map<?, ?>) step).get("kind").toString()))
                .containsExactly("dump", "full", "onto_base", "onto_base", "onto_base", "full");
        Map<?, ?> dedup = (Map<?, ?>) demo.get("dedup");
        assertThat((Long) dedup.get("pages_equal")).isPositive();
        assertThat(dedup.get("engine")).isNotNull();
        assertThat(dedup.get("pages_written")).isNotNull();
        assertThat(dedup.get("ms")).isNotNull();
    }

    private static void assertWhole(Map<?, ?> demo, long ramBytes) {
        assertThat(demo.get("ok")).isEqualTo(true);
        assertThat(demo.get("ram_bytes")).isEqualTo(ramBytes);
        assertThat((List<?>) demo.get("steps")).hasSize(6).allSatisfy(step -> assertThat(((Map<?, ?>) step).keySet())
                .isEqualTo(Set.of("name", "kind", "bytes_written", "pause_ms", "durable_ms", "pages", "copied_ahead")));
        Map<?, ?> step = (Map<?, ?>) ((List<?>) demo.get("steps")).get(4);
        assertThat(step.get("name")).isEqualTo("demo-ahead");
        Map<?, ?> ahead = (Map<?, ?>) step.get("copied_ahead");
        assertThat(ahead.keySet())
                .isEqualTo(Set.of("rounds", "bytes_written", "pages", "pages_again", "ended", "ms"));
        assertThat((Long) ahead.get("rounds")).isPositive();
        assertThat((Long) ahead.get("bytes_written")).isPositive();
        assertThat((List<?>) demo.get("restores")).hasSize(15).allSatisfy(restore -> {
            assertThat(((Map<?, ?>) restore).get("verified")).isEqualTo(true);
            assertThat(((Map<?, ?>) restore).get("guest_continued")).isEqualTo(true);
        });
    }
}
