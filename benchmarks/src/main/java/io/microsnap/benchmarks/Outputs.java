package io.microsnap.benchmarks;

import java.io.IOException;
import java.nio.charset.StandardCharsets;
import java.nio.file.Files;
import java.nio.file.Path;
import java.nio.file.StandardCopyOption;
import java.util.List;
import java.util.Optional;
import java.util.function.Function;
import java.util.stream.Stream;
import picocli.CommandLine.Option;

/** The files that a run is written to. */
final class Outputs {
    @Option(names = "--json", paramLabel = "FILE", description = "Write the run there, row by row, for --compare"
            + " and report.")
    private Optional<Path> json;

    @Option(names = "--html", paramLabel = "FILE", description = "Write a page with charts there.")
    private Optional<Path> html;

    /** Refuses before anything is measured what could not be written after it. */
    void requireWritable(Function<String, RuntimeException> refusal) {
        Stream.of(json, html).flatMap(Optional::stream).forEach(file -> {
            if (Files.isDirectory(file) || !Files.isWritable(directory(file))) {
                throw refusal.apply(file + " cannot be written: name a file in a directory that is yours");
            }
        });
    }

    /** Writes a run that goes on: should it be interrupted, its rows are kept. */
    void keep(Run soFar) throws IOException {
        if (json.isPresent()) {
            replace(json.get(), RunFile.write(soFar));
        }
    }

    void write(Run run, List<String> changes) throws IOException {
        keep(run);
        if (html.isPresent()) {
            replace(html.get(), new HtmlReport(run, changes).page().getBytes(StandardCharsets.UTF_8));
        }
    }

    /** Writes a file whole or not at all. */
    static void replace(Path file, byte[] content) throws IOException {
        Path beside = directory(file).resolve("." + file.getFileName() + "-" + ProcessHandle.current().pid() + ".new");
        try {
            Files.write(beside, content);
            Files.move(beside, file, StandardCopyOption.REPLACE_EXISTING, StandardCopyOption.ATOMIC_MOVE);
        } finally {
            Files.deleteIfExists(beside);
        }
    }

    private static Path directory(Path file) {
        return file.toAbsolutePath().getParent();
    }
}
