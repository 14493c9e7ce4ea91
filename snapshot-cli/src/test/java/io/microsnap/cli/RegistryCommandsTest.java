package io.microsnap.cli;

import static org.assertj.core.api.Assertions.assertThat;
import static org.junit.jupiter.api.Assumptions.assumeTrue;

import io.microsnap.testsupport.ChildProcess;
import io.microsnap.testsupport.ChildProcesses;
import io.microsnap.testsupport.Seed;
import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.List;
import java.util.Map;
import java.util.SplittableRandom;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;

/** Push, pull and remote list as processes, through a real registry. */
class RegistryCommandsTest {
    private static final Path SERVER = Path.of("/usr/bin/docker-registry");

    @TempDir
    private Path directory;

    private String registry(ChildProcesses processes) throws IOException {
        assumeTrue(Files.isExecutable(SERVER), SERVER + " is missing; to enable: apt-get install docker-registry");
        Path config = Files.writeString(directory.resolve("registry.yml"), "version: 0.1\nlog:\n  level: info\n"
                + "  accesslog:\n    disabled: true\nstorage:\n  filesystem:\n    rootdirectory: "
                + directory.resolve("served") + "\nhttp:\n  addr: 127.0.0.1:0\n  secret: test\n");
        ChildProcess server = processes.start(new ProcessBuilder(SERVER.toString(), "serve", config.toString())
                .redirectErrorStream(true));
        return server.awaitLine("listening on ").replaceFirst(".*listening on (127\\.0\\.0\\.1:\\d+).*", "$1");
    }

    @Test
    void aSnapshotGoesThroughARegistryAndComesBackByteForByte(Seed seed, ChildProcesses processes)
            throws IOException {
        Launcher microsnap = new Launcher(processes, directory);
        String repository = registry(processes) + "/guests";
        SplittableRandom random = seed.random();
        byte[] ram = new byte[4 << 20];
        for (int at = 0; at < ram.length / 2; at++) {
            ram[at] = (byte) random.nextInt(16);
        }
        Files.write(directory.resolve("ram"), ram);
        microsnap.run(0, "bake", "--ram", "ram", "--store", "s", "--id", "a");

        ChildProcess.Exit pushed = microsnap.run(0, "push", "--store", "s", "--id", "a", repository + ":one");
        String digest = pushed.output().strip();
        assertThat(digest).matches("sha256:[0-9a-f]{64}");
        Map<?, ?> again = microsnap.json(0, "push", "--store", "s", "--id", "a", repository + ":two");
        assertThat(again.get("digest")).isEqualTo(digest);
        assertThat(again.get("sent_bytes")).isEqualTo(0L);

        Map<?, ?> listed = microsnap.json(0, "remote", "list", repository);
        assertThat((List<?>) listed.get("snapshots")).hasSize(2);
        assertThat(microsnap.run(0, "remote", "list", repository).output()).contains("one").contains("two");

        Map<?, ?> pulled = microsnap.json(0, "pull", "--store", "t", "--id", "b", repository + "@" + digest);
        assertThat((List<?>) pulled.get("published")).hasSize(1);
        microsnap.run(0, "verify", "--store", "t");
        microsnap.run(0, "restore", "--store", "t", "--id", "b", "--to", "back");
        assertThat(Files.readAllBytes(directory.resolve("back"))).isEqualTo(ram);
        assertThat(microsnap.run(0, "pull", "--store", "t", "--id", "b", repository + ":one").output())
                .contains("in the store already");

        assertThat(microsnap.run(1, "pull", "--store", "t", "--id", "c", repository + ":three").errors())
                .contains("no such tag").contains("remote list");
        assertThat(microsnap.run(2, "push", "--store", "s", "--id", "a", repository).errors())
                .contains("neither a tag nor a digest");
        assertThat(microsnap.run(2, "pull", "--store", "t", "--id", "c", "guests:one").errors())
                .contains("HOST[:PORT]/NAME");
        assertThat(microsnap.run(3, "push", "--store", "s", "--id", "a",
                repository + ":bad@sha256:" + "0".repeat(64)).errors()).contains("no tag was set");
        assertThat(microsnap.run(2, "push", "--store", "s", "--id", "a", "--level", "99", repository + ":one").errors())
                .contains("level 99");
    }
}
