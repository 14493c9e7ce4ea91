package io.microsnap.benchmarks.parts;

import io.microsnap.testsupport.Checkout;
import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.Comparator;
import java.util.List;
import java.util.stream.Stream;

/** A directory among the build's output, removed in the end: also by {@code mvn clean}, should this JVM be killed. */
record OwnDirectory(Path path) implements AutoCloseable {

    static OwnDirectory create() throws IOException {
        Path target = Files.createDirectories(Checkout.root().resolve("target"));
        return new OwnDirectory(Files.createTempDirectory(target, "jmh-"));
    }

    @Override
    public void close() throws IOException {
        List<Path> paths;
        try (Stream<Path> found = Files.walk(path)) {
            paths = found.sorted(Comparator.reverseOrder()).toList();
        }
        for (Path each : paths) {
            Files.delete(each);
        }
    }
}
