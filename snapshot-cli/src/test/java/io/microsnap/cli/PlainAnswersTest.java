package io.microsnap.cli;

import static org.assertj.core.api.Assertions.assertThat;

import io.microsnap.testsupport.ChildProcess;
import io.microsnap.testsupport.ChildProcesses;
import io.microsnap.testsupport.Seed;
import io.microsnap.testsupport.TinyFileSystem;
import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.Map;
import org.junit.jupiter.api.BeforeEach;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;
import org.junit.jupiter.api.parallel.Execution;
import org.junit.jupiter.api.parallel.ExecutionMode;

/** Whatever is wrong, the answer is one plain line and the right status; a stack trace is for those who ask. */
@Execution(ExecutionMode.CONCURRENT)
class PlainAnswersTest {
    private static final String ESCAPE = "\u001b[31m\u009b2J\u202e";

    @TempDir
    private Path directory;
    private Launcher microsnap;
    private ChildProcesses processes;

    @BeforeEach
    void launcher(ChildProcesses children) {
        processes = children;
        microsnap = new Launcher(children, directory);
    }

    @Test
    void filesWhoseContentIsMadeWhenTheyAreReadAreNotStoredAsEmpty(Seed seed) throws IOException {
        ram(seed);
        assertThat(microsnap.run(1, "copy", "/proc/self/status", "copy").errors()).contains("procfs");
        assertThat(directory.resolve("copy")).doesNotExist();
        assertThat(microsnap.run(1, "bake", "--ram", "ram", "--store", "s", "--id", "a", "--state",
                "/proc/self/status").errors()).contains("procfs");
        assertThat(microsnap.run(1, "bake", "--ram", "ram", "--store", "s", "--id", "a", "--attach",
                "/proc/self/status").errors()).contains("procfs");
        assertThat(microsnap.run(0, "list", "--store", "s").output()).contains("no snapshots");
    }

    @Test
    void namesReachNoTerminalAsCommands(Seed seed) throws IOException {
        Path evil = Files.createDirectory(directory.resolve("evil" + ESCAPE));
        for (String[] arguments : new String[][] {{"list", "--store", evil.toString()},
                {"copy", evil.resolve("none").toString(), "there"}, {"inspect", "--store", "s", "--id", ESCAPE},
                {"copy", "a", "b", ESCAPE}}) {
            ChildProcess.Exit exit = microsnap.start(arguments).awaitExit();
            assertThat(exit.status()).isPositive();
            assertThat(exit.errors()).doesNotContain("\u001b").doesNotContain("\u009b").doesNotContain("\u202e");
        }
        Map<?, ?> failure = microsnap.json(1, "list", "--store", evil.toString());
        assertThat((String) failure.get("error")).as("JSON has the very name").contains(ESCAPE);
        ChildProcess.Exit json = microsnap.start("list", "--json", "--store", evil.toString()).awaitExit();
        assertThat(json.output()).doesNotContain("\u001b").doesNotContain("\u009b");
        ram(seed);
        microsnap.run(0, "bake", "--ram", "ram", "--store", "s", "--id", "a");
        Files.createDirectory(directory.resolve("s/x" + ESCAPE));
        assertThat(microsnap.run(0, "list", "--store", "s").output()).contains("damaged").doesNotContain("\u001b");
    }

    @Test
    void nothingIsPutIntoAStoreButByTheStore(Seed seed) throws IOException {
        ram(seed);
        microsnap.run(0, "bake", "--ram", "ram", "--store", "s", "--id", "a");
        assertThat(microsnap.run(1, "restore", "--store", "s", "--id", "a", "--to", "s/out").errors())
                .contains("in a store of snapshots");
        assertThat(microsnap.run(1, "restore", "--store", "s", "--id", "a", "--all-to", "s/all").errors())
                .contains("in a store of snapshots");
        assertThat(microsnap.run(1, "copy", "ram", "s/a/copy").errors()).contains("in a store of snapshots");
        assertThat(microsnap.run(1, "bake", "--ram", "ram", "--store", "s/.staging", "--id", "a").errors())
                .contains("in a store of snapshots");
        microsnap.run(0, "bake", "--ram", "ram", "--store", "nested", "--id", "precious");
        Files.move(directory.resolve("nested"), directory.resolve("s/nested"));
        assertThat(microsnap.run(1, "delete", "--store", "s", "--id", "nested", "--force").errors())
                .contains("a store of its own");
        assertThat(directory.resolve("s/nested/precious/memory.img")).exists();
        assertThat(microsnap.run(0, "verify", "--store", "s", "--id", "a").output()).contains("whole");
    }

    @Test
    void aFullDiskAndAMissingSnapshotAreALineAndATraceOnlyForThoseWhoAsk(@TinyFileSystem Path tiny, Seed seed)
            throws IOException {
        byte[] content = new byte[24 << 20];
        seed.random().nextBytes(content);
        Files.write(directory.resolve("ram"), content);
        ChildProcess.Exit full = microsnap.run(1, "bake", "--ram", "ram", "--store", tiny.resolve("s").toString(),
                "--id", "a");
        assertThat(full.errors().lines().filter(line -> !line.startsWith("NOTE:"))).singleElement().asString()
                .contains("filesystem is full");
        microsnap.run(0, "bake", "--ram", "ram", "--store", "s", "--id", "a");
        ChildProcess.Exit missing = microsnap.run(1, "dedup", "--store", "s", "--id", "none");
        assertThat(missing.errors()).contains("has no snapshot none").doesNotContain("\tat ");
        assertThat(missing.errors().lines().filter(line -> !line.startsWith("NOTE:"))).hasSizeLessThanOrEqualTo(2)
                .allMatch(line -> line.startsWith("microsnap: "));
        ChildProcess.Exit verbose = microsnap.start("dedup", "--store", "s", "--id", "none", "--verbose").awaitExit();
        assertThat(verbose.errors()).contains("at io.microsnap");
    }

    @Test
    void anEstimateOverADamagedIndexEndsAsDamage(Seed seed) throws IOException {
        ram(seed);
        microsnap.run(0, "bake", "--ram", "ram", "--store", "s", "--id", "a");
        microsnap.run(0, "bake", "--ram", "ram", "--store", "s", "--id", "b");
        Path index = directory.resolve("s/b/memory.idx");
        assertThat(index.toFile().setWritable(true)).isTrue();
        byte[] bytes = Files.readAllBytes(index);
        bytes[2 * 4096 + 1] ^= 1;
        Files.write(index, bytes);
        assertThat(microsnap.run(3, "dedup", "--store", "s", "--dry-run").output()).contains("UNKNOWN");
        microsnap.run(3, "dedup", "--store", "s", "--dry-run", "--id", "b");
        microsnap.run(3, "dedup", "--store", "s");
        microsnap.run(3, "dedup", "--store", "s", "--id", "b");
    }

    @Test
    void anErrorOfTheJvmIsALineToo(Seed seed) throws IOException {
        byte[] state = new byte[200 << 20];
        Files.write(directory.resolve("state"), state);
        ram(seed);
        ProcessBuilder builder = microsnap.builder("bake", "--ram", "ram", "--store", "s", "--id", "a", "--state",
                "state");
        builder.environment().put("JDK_JAVA_OPTIONS", "-XX:TieredStopAtLevel=1 -XX:MaxDirectMemorySize=16m -Xmx48m");
        ChildProcess.Exit exit = processes.start(builder).awaitExit();
        assertThat(exit.status()).as(exit.toString()).isEqualTo(1);
        assertThat(exit.errors()).contains("microsnap: out of memory").contains("-Xmx").doesNotContain("\tat ");
    }

    @Test
    void anUnknownSystemIsALine() {
        ProcessBuilder builder = microsnap.builder("list", "--store", "s");
        builder.environment().put("JDK_JAVA_OPTIONS", "-XX:TieredStopAtLevel=1 -Dos.name=FreeBSD");
        ChildProcess.Exit exit = processes.start(builder).awaitExit();
        assertThat(exit.status()).as(exit.toString()).isEqualTo(1);
        assertThat(exit.errors().lines().filter(line -> !line.startsWith("NOTE:"))).singleElement().asString()
                .startsWith("microsnap: ").contains("FreeBSD").contains("are supported");
    }

    private void ram(Seed seed) throws IOException {
        byte[] content = new byte[1 << 20];
        seed.random().nextBytes(content);
        Files.write(directory.resolve("ram"), content);
    }
}
