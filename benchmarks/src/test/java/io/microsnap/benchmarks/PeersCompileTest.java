package io.microsnap.benchmarks;

import static org.assertj.core.api.Assertions.assertThat;
import static org.junit.jupiter.api.Assumptions.assumeTrue;

import io.microsnap.testsupport.CCompiler;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.List;
import java.util.Optional;
import java.util.stream.Stream;
import org.junit.jupiter.api.Test;

/** Each peer compiles without a warning: a row would say so only in the middle of a long run. */
final class PeersCompileTest {
    private static final Path SOURCES = Path.of("src/main/resources/io/microsnap/benchmarks");

    @Test
    void everyPeerCompiles() throws Exception {
        Optional<CCompiler> compiler = CCompiler.find();
        assumeTrue(compiler.isPresent(), "there is no C compiler; install gcc");
        try (Stream<Path> sources = Files.list(SOURCES)) {
            List<String> peers = sources.map(source -> source.getFileName().toString())
                    .filter(name -> name.endsWith(".c")).sorted().toList();
            assertThat(peers).contains("kvm.c", "direct.c", "touch.c");
            for (String peer : peers) {
                assertThat(Workbench.compile(compiler.get(), Workbench.class, peer)).isExecutable();
            }
        }
    }
}
