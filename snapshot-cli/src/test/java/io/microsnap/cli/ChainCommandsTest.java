package io.microsnap.cli;

import static org.assertj.core.api.Assertions.assertThat;

import io.microsnap.testsupport.ChildProcesses;
import io.microsnap.testsupport.Seed;
import java.io.IOException;
import java.io.RandomAccessFile;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.List;
import java.util.Map;
import org.junit.jupiter.api.BeforeEach;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;
import org.junit.jupiter.api.parallel.Execution;
import org.junit.jupiter.api.parallel.ExecutionMode;

/** Chains as a person manages them: what needs what, what goes, and what comes back. */
@Execution(ExecutionMode.CONCURRENT)
class ChainCommandsTest {
    private static final int PAGE = 4096;

    @TempDir
    private Path directory;
    private Launcher microsnap;

    @BeforeEach
    void launcher(ChildProcesses processes) {
        microsnap = new Launcher(processes, directory);
    }

    @Test
    void deleteTellsTheOrderCompactMakesItNeedlessAndPruneDoesBoth(Seed seed) throws IOException {
        Path ram = bakeChain(seed, 4);
        assertThat(microsnap.run(1, "delete", "--store", "s", "--id", "v1").errors())
                .contains("in this order: v4, v3, v2").contains("compact --id with each of: v2");
        Map<?, ?> refused = microsnap.json(1, "delete", "--store", "s", "--id", "v1");
        assertThat((Object) refused.get("dependents")).isEqualTo(List.of("v4", "v3", "v2"));
        assertThat((Object) refused.get("direct_dependents")).isEqualTo(List.of("v2"));
        assertThat(refused.get("status")).isEqualTo(1L);

        Map<?, ?> compacted = microsnap.json(0, "compact", "--store", "s", "--id", "v2");
        assertThat(compacted.get("compacted")).isEqualTo(true);
        assertThat(microsnap.run(0, "compact", "--store", "s", "--id", "v2").output()).contains("was complete");
        microsnap.run(0, "delete", "--store", "s", "--id", "v1");

        Map<?, ?> planned = microsnap.json(0, "prune", "--store", "s", "--keep", "1", "--label", "vm=a", "--dry-run");
        assertThat((Object) planned.get("compacted")).isEqualTo(List.of("v4"));
        Map<?, ?> pruned = microsnap.json(0, "prune", "--store", "s", "--keep", "1", "--label", "vm=a");
        assertThat((Object) pruned.get("kept")).isEqualTo(List.of("v4"));
        assertThat((Object) pruned.get("deleted")).isEqualTo(List.of("v3", "v2"));
        assertThat(microsnap.run(0, "prune", "--store", "s", "--keep", "5").output()).contains("deleted 0");
        assertThat(microsnap.run(2, "prune", "--store", "s", "--keep", "0").errors()).contains("at least 1");
        microsnap.run(0, "restore", "--store", "s", "--id", "v4", "--to", "out");
        assertThat(Files.mismatch(directory.resolve("out"), ram)).isEqualTo(-1);
    }

    @Test
    void whatCannotBeMadeCompleteStaysAndIsTold(Seed seed) throws IOException {
        bakeChain(seed, 2);
        damage("s/v1/memory.img", 5 * PAGE);
        assertThat(microsnap.run(3, "compact", "--store", "s", "--id", "v2").errors()).contains("is damaged");
        assertThat(microsnap.run(3, "prune", "--store", "s", "--keep", "1").output()).contains("LEFT v2")
                .contains("LEFT v1");
        assertThat((List<?>) microsnap.json(0, "list", "--store", "s").get("snapshots")).hasSize(2);
    }

    @Test
    void restoreGivesBackAllThatWasBaked(Seed seed) throws IOException {
        byte[] content = new byte[1 << 20];
        seed.random().nextBytes(content);
        Path ram = Files.write(directory.resolve("ram"), content);
        Path state = Files.writeString(directory.resolve("vm.state"), "state \0 of the VMM");
        Files.writeString(directory.resolve("disk"), "overlay");
        Files.write(directory.resolve("empty"), new byte[0]);
        microsnap.run(0, "bake", "--ram", "ram", "--store", "s", "--id", "a", "--state", "vm.state", "--attach", "disk",
                "--attach", "empty");
        Map<?, ?> restored = microsnap.json(0, "restore", "--store", "s", "--id", "a", "--all-to", "all");
        assertThat((List<?>) restored.get("attachments")).hasSize(2);
        assertThat(restored.get("verified")).isEqualTo(true);
        assertThat(Files.mismatch(directory.resolve("all/memory.img"), ram)).isEqualTo(-1);
        assertThat(Files.mismatch(directory.resolve("all/state"), state)).isEqualTo(-1);
        assertThat(directory.resolve("all/attachments/disk")).hasContent("overlay");
        assertThat(directory.resolve("all/attachments/empty")).isEmptyFile();
        // What is there stays, and so nothing of a restore that fails is left.
        Files.delete(directory.resolve("all/state"));
        assertThat(microsnap.run(1, "restore", "--store", "s", "--id", "a", "--all-to", "all").errors())
                .contains("exists already");
        assertThat(directory.resolve("all/state")).doesNotExist();
        microsnap.run(0, "restore", "--store", "s", "--id", "a", "--all-to", "all", "--replace");
        assertThat(Files.mismatch(directory.resolve("all/state"), state)).isEqualTo(-1);

        Map<?, ?> one = microsnap.json(0, "restore", "--store", "s", "--id", "a", "--state-to", "again");
        assertThat((Object) one.get("file")).isNull();
        assertThat(Files.mismatch(directory.resolve("again"), state)).isEqualTo(-1);
        microsnap.run(0, "restore", "--store", "s", "--id", "a", "--attachments-to", "files");
        assertThat(directory.resolve("files/disk")).hasContent("overlay");
        assertThat(microsnap.run(2, "restore", "--store", "s", "--id", "a").errors()).contains("name a target");
        assertThat(microsnap.run(2, "restore", "--store", "s", "--id", "a", "--to", "x", "--all-to", "y").errors())
                .contains("--all-to");
        microsnap.run(0, "bake", "--ram", "ram", "--store", "s", "--id", "bare");
        assertThat(microsnap.run(1, "restore", "--store", "s", "--id", "bare", "--state-to", "none").errors())
                .contains("without a machine's state");
        microsnap.run(0, "restore", "--store", "s", "--id", "bare", "--all-to", "bare");
        assertThat(directory.resolve("bare")).isDirectoryContaining("glob:**memory.img")
                .isDirectoryNotContaining("glob:**state");
    }

    @Test
    void aDamagedSnapshotIsNotRestoredOrTransferredUnlessAsked(Seed seed) throws IOException {
        bakeChain(seed, 1);
        damage("s/v1/memory.img", 7 * PAGE);
        assertThat(microsnap.run(3, "restore", "--store", "s", "--id", "v1", "--to", "out").errors())
                .contains("0x7000");
        assertThat(directory.resolve("out")).doesNotExist();
        assertThat(microsnap.run(3, "transfer", "--store", "s", "--id", "v1", "--to-store", "t").errors())
                .contains("0x7000");
        assertThat(microsnap.run(3, "restore", "--store", "s", "--id", "v1", "--all-to", "all").errors())
                .contains("0x7000");
        assertThat(directory.resolve("all")).doesNotExist();
        assertThat((List<?>) microsnap.json(0, "list", "--store", "t").get("snapshots")).isEmpty();
        Map<?, ?> unchecked = microsnap.json(
                0, "restore", "--store", "s", "--id", "v1", "--to", "out", "--no-verify");
        assertThat(unchecked.get("verified")).isEqualTo(false);
        microsnap.run(0, "transfer", "--store", "s", "--id", "v1", "--to-store", "t", "--no-verify");
        microsnap.run(3, "verify", "--store", "t");
    }

    /** v1 and diffs on it, each a page further; returns the file as the last was baked. */
    private Path bakeChain(Seed seed, int length) throws IOException {
        byte[] content = new byte[1 << 20];
        seed.random().nextBytes(content);
        Path ram = Files.write(directory.resolve("ram"), content);
        microsnap.run(0, "bake", "--ram", "ram", "--store", "s", "--id", "v1", "--label", "vm=a");
        for (int number = 2; number <= length; number++) {
            try (RandomAccessFile file = new RandomAccessFile(ram.toFile(), "rw")) {
                file.seek(10L * number * PAGE);
                file.writeBytes("changed");
            }
            microsnap.run(0, "bake", "--ram", "ram", "--store", "s", "--id", "v" + number, "--base",
                    "v" + (number - 1), "--label", "vm=a");
        }
        return ram;
    }

    private void damage(String file, long offset) throws IOException {
        Path image = directory.resolve(file);
        assertThat(image.toFile().setWritable(true)).isTrue();
        try (RandomAccessFile open = new RandomAccessFile(image.toFile(), "rw")) {
            open.seek(offset);
            int before = open.read();
            open.seek(offset);
            open.write(before ^ 1);
        }
    }
}
