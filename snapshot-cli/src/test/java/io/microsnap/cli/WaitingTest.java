package io.microsnap.cli;

import static org.assertj.core.api.Assertions.assertThat;

import io.microsnap.testsupport.ChildProcess;
import io.microsnap.testsupport.ChildProcesses;
import io.microsnap.testsupport.Seed;
import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.List;
import java.util.Map;
import org.junit.jupiter.api.BeforeEach;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;
import org.junit.jupiter.api.parallel.Execution;
import org.junit.jupiter.api.parallel.ExecutionMode;

/** Commands on a store that another process is changing, and does not finish with. */
@Execution(ExecutionMode.CONCURRENT)
class WaitingTest {
    @TempDir
    private Path directory;
    private Launcher microsnap;
    private ChildProcesses processes;
    private ChildProcess holder;

    @BeforeEach
    void aStoreThatIsLocked(ChildProcesses children, Seed seed) throws IOException {
        processes = children;
        microsnap = new Launcher(children, directory);
        byte[] content = new byte[1 << 20];
        seed.random().nextBytes(content);
        Files.write(directory.resolve("ram"), content);
        microsnap.run(0, "bake", "--ram", "ram", "--store", "s", "--id", "a");
        holder = children.start(new ProcessBuilder(
                "flock", "s/.lock", "sh", "-c", "echo locked; read go").directory(directory.toFile()));
        holder.awaitLine("locked");
    }

    @Test
    void readersDoNotWaitAndWritersSayForWhomTheyDo() {
        assertThat(microsnap.run(0, "list", "--store", "s").output()).contains("a ");
        microsnap.run(0, "restore", "--store", "s", "--id", "a", "--to", "out");
        microsnap.run(0, "verify", "--store", "s");
        assertThat(microsnap.run(1, "delete", "--store", "s", "--id", "a", "--wait", "0").errors())
                .contains("is being changed by process ").contains("(flock)");
        assertThat(microsnap.run(2, "delete", "--store", "s", "--id", "a", "--wait", "-1").errors()).contains("--wait");
        ChildProcess delete = processes.start(microsnap.builder(
                "delete", "--store", "s", "--id", "a", "--wait", "600").redirectErrorStream(true));
        assertThat(delete.awaitLine("waiting for ")).contains("process ").contains("(flock)").contains("600 s");
        holder.send("go");
        ChildProcess.Exit exit = delete.awaitExit();
        assertThat(exit.status()).as(exit.output()).isZero();
        assertThat(exit.output()).contains("deleted a");
    }

    @Test
    void ctrlCEndsTheWaiting() throws IOException {
        ChildProcess delete = processes.startInterruptible(microsnap.builder(
                "delete", "--store", "s", "--id", "a", "--wait", "100000").redirectErrorStream(true));
        delete.awaitLine("waiting for ");
        processes.command("kill", "-INT", Long.toString(delete.pid())).awaitExit();
        ChildProcess.Exit exit = delete.awaitExit();
        assertThat(exit.status()).as(exit.output()).isEqualTo(130);
        assertThat(exit.output()).contains("nothing was changed").doesNotContain("cut off");
        Map<?, ?> listed = microsnap.json(0, "list", "--store", "s");
        assertThat((List<?>) listed.get("snapshots")).hasSize(1);
    }
}
