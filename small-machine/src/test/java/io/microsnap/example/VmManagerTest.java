package io.microsnap.example;

import static org.assertj.core.api.Assertions.assertThat;

import io.microsnap.kvm.KvmTest;
import io.microsnap.testsupport.Checkout;
import io.microsnap.testsupport.ChildProcess;
import io.microsnap.testsupport.ChildProcesses;
import io.microsnap.testsupport.FileSystemKind;
import io.microsnap.testsupport.RealFileSystems;
import java.io.IOException;
import java.io.StringWriter;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.List;
import java.util.regex.Matcher;
import java.util.regex.Pattern;
import java.util.stream.Stream;
import javax.tools.JavaCompiler;
import javax.tools.StandardJavaFileManager;
import javax.tools.ToolProvider;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;

/** {@code examples/vm-manager}, compiled as it is and run with the JVM flags that README names. */
@KvmTest
class VmManagerTest {
    private static final Path SOURCES = Checkout.root().resolve("examples/vm-manager/src/main/java/example");

    @Test
    void readmeShowsAnExcerptOfIt() throws IOException {
        String source = Files.readString(SOURCES.resolve("VmManager.java"));
        int begin = source.indexOf("// README: begin\n") + "// README: begin\n".length();
        String excerpt = source.substring(begin, source.indexOf("    // README: end")).indent(-4);
        assertThat(excerpt).hasLineCount(20);
        assertThat(Files.readString(Checkout.root().resolve("README.md"))).contains("```java\n" + excerpt + "```\n");
    }

    @RealFileSystems(FileSystemKind.XFS)
    void whatReadmeShowsRunsAndItBakesAndEightCopiesGoOnInAnotherProcess(
            Path directory, @TempDir Path classes, ChildProcesses processes) throws IOException {
        compile(classes);
        assertThat(run(processes, classes, "short", directory.resolve("short").toString())).singleElement()
                .asString().startsWith("ready (").contains("cost a pause of PT");
        String store = directory.resolve("store").toString();
        List<String> baked = run(processes, classes, "bake", store);
        assertThat(baked).hasSize(3);
        assertThat(baked.get(0)).startsWith("web-ready: FULL, ");
        assertThat(baked.get(1)).startsWith("web-warm: ONTO_BASE, ");
        assertThat(baked.get(2)).startsWith("web-sibling: FULL, ");
        List<String> copies = run(processes, classes, "copies", store);
        assertThat(copies).filteredOn(line -> line.contains(" goes on from ")).hasSize(8)
                .allSatisfy(line -> assertThat(number(line, "goes on from (\\d+)")).isGreaterThanOrEqualTo(2000));
        assertThat(copies).filteredOn(line -> line.startsWith("copy-") && line.contains("ONTO_BASE")).hasSize(8);
        assertThat(copies).contains("8 copies are whole", "left: [web-sibling]");
        assertThat(number(copies.get(copies.size() - 2), "^web-sibling shares (\\d+) bytes$"))
                .as("of 16 MiB that are the same").isGreaterThanOrEqualTo(15 << 20);
    }

    private static long number(String line, String pattern) {
        Matcher matcher = Pattern.compile(pattern).matcher(line);
        assertThat(matcher.find()).as(line).isTrue();
        return Long.parseLong(matcher.group(1));
    }

    private static void compile(Path classes) throws IOException {
        JavaCompiler compiler = ToolProvider.getSystemJavaCompiler();
        StringWriter said = new StringWriter();
        try (StandardJavaFileManager files = compiler.getStandardFileManager(null, null, null);
                Stream<Path> sources = Files.list(SOURCES)) {
            boolean compiled = compiler.getTask(said, files, null,
                    List.of("-proc:none", "-Xlint:all,-path", "-Werror", "-d", classes.toString(),
                            "-cp", System.getProperty("java.class.path")),
                    null, files.getJavaFileObjectsFromPaths(sources.toList())).call();
            assertThat(compiled).as(said.toString()).isTrue();
        }
    }

    private static List<String> run(ChildProcesses processes, Path classes, String... arguments) throws IOException {
        List<String> command = new ArrayList<>(List.of(ProcessHandle.current().info().command().orElseThrow()));
        command.addAll(flagsThatReadmeNames());
        command.addAll(List.of("-XX:TieredStopAtLevel=1", "-cp",
                classes + ":" + System.getProperty("java.class.path"), "example.VmManager"));
        command.addAll(List.of(arguments));
        ChildProcess.Exit exit = processes.start(new ProcessBuilder(command)).awaitExit();
        assertThat(exit.status()).as(exit.output() + exit.errors()).isZero();
        assertThat(exit.errors()).as("what the JVM says of missing flags").doesNotContain("WARNING");
        return exit.output().lines().toList();
    }

    private static List<String> flagsThatReadmeNames() throws IOException {
        List<String> flags = Files.readAllLines(Checkout.root().resolve("README.md")).stream()
                .filter(line -> line.startsWith("    --")).map(line -> line.strip().split(" ", 2)[0]).toList();
        assertThat(flags).hasSize(2);
        return flags;
    }
}
