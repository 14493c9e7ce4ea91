package io.microsnap.cli;

import static org.assertj.core.api.Assertions.assertThat;

import io.microsnap.testsupport.ChildProcess;
import io.microsnap.testsupport.ChildProcesses;
import io.microsnap.testsupport.Seed;
import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.nio.file.attribute.PosixFilePermissions;
import java.util.ArrayList;
import java.util.List;
import java.util.Map;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;
import org.junit.jupiter.api.parallel.Execution;
import org.junit.jupiter.api.parallel.ExecutionMode;

/** A snapshot is whole, damaged or could not be read: nobody is led to delete a healthy one. */
@Execution(ExecutionMode.CONCURRENT)
class ThreeOutcomesTest {
    @TempDir
    private Path directory;

    @Test
    void whatMayNotBeReadIsNotCalledDamaged(ChildProcesses processes, Seed seed) throws IOException {
        Launcher microsnap = new Launcher(processes, directory);
        byte[] content = new byte[1 << 20];
        seed.random().nextBytes(content);
        Files.write(directory.resolve("ram"), content);
        microsnap.run(0, "bake", "--ram", "ram", "--store", "s", "--id", "a");
        microsnap.run(0, "bake", "--ram", "ram", "--store", "s", "--id", "b");
        Files.setPosixFilePermissions(
                directory.resolve("s/a/snapshot.json"), PosixFilePermissions.fromString("---------"));
        ChildProcess.Exit one = unprivileged(processes, microsnap, "verify", "--store", "s", "--id", "a");
        assertThat(one.status()).as(one.toString()).isEqualTo(1);
        assertThat(one.errors()).contains("permission denied").contains("EACCES").doesNotContain("\tat ");
        ChildProcess.Exit all = unprivileged(processes, microsnap, "verify", "--store", "s", "--json");
        assertThat(all.status()).as(all.toString()).isEqualTo(1);
        assertThat(outcomes(all.output())).containsExactly("unreadable", "whole");
        ChildProcess.Exit listed = unprivileged(processes, microsnap, "list", "--store", "s", "--json");
        Map<?, ?> list = (Map<?, ?>) Launcher.parse(listed.output());
        assertThat((List<?>) list.get("damaged")).isEmpty();
        assertThat((List<?>) list.get("unreadable")).hasSize(1);

        Path manifest = directory.resolve("s/b/snapshot.json");
        assertThat(manifest.toFile().setWritable(true)).isTrue();
        Files.writeString(manifest, "{");
        ChildProcess.Exit damaged = unprivileged(processes, microsnap, "verify", "--store", "s", "--json");
        assertThat(damaged.status()).as("damage is worse").isEqualTo(3);
        assertThat(outcomes(damaged.output())).containsExactly("unreadable", "damaged");
    }

    private static List<Object> outcomes(String json) throws IOException {
        List<Object> outcomes = new ArrayList<>();
        for (Object snapshot : (List<?>) ((Map<?, ?>) Launcher.parse(json)).get("snapshots")) {
            outcomes.add(((Map<?, ?>) snapshot).get("outcome"));
        }
        return outcomes;
    }

    /** For whom modes count, also where the tests are root's. */
    private ChildProcess.Exit unprivileged(ChildProcesses processes, Launcher microsnap, String... arguments) {
        List<String> command = new ArrayList<>(
                List.of("setpriv", "--bounding-set=-dac_override,-dac_read_search"));
        ProcessBuilder builder = microsnap.builder(arguments);
        command.addAll(builder.command());
        return processes.start(builder.command(command)).awaitExit();
    }
}
