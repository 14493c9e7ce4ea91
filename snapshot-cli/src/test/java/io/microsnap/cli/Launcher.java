package io.microsnap.cli;

import static org.assertj.core.api.Assertions.assertThat;
import static org.junit.jupiter.api.Assumptions.assumeTrue;

import com.fasterxml.jackson.core.JsonFactory;
import com.fasterxml.jackson.core.JsonParser;
import com.fasterxml.jackson.core.JsonToken;
import io.microsnap.testsupport.ChildProcess;
import io.microsnap.testsupport.ChildProcesses;
import java.io.File;
import java.io.IOException;
import java.io.UncheckedIOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import java.util.stream.Stream;

/**
 * Runs commands in a directory of the test. {@link #start} and {@link #builder} are {@code ./microsnap} as a person
 * runs it, a process of its own; {@link #run} and {@link #json} have one {@link CommandServer} run one command after
 * another.
 */
final class Launcher {
    private final ChildProcesses processes;
    private final Path directory;
    private final Path checkout;
    private final Path script;
    private final boolean eachInItsOwnProcess;
    private ChildProcess server;

    Launcher(ChildProcesses processes, Path directory) {
        this(processes, directory, false);
    }

    private Launcher(ChildProcesses processes, Path directory, boolean eachInItsOwnProcess) {
        this.processes = processes;
        this.directory = directory;
        this.eachInItsOwnProcess = eachInItsOwnProcess;
        checkout = checkout();
        script = checkout.resolve("microsnap");
        // The launcher builds what is stale, and a build inside this build would pull the classes from under it.
        assumeTrue(isFresh(checkout), "the launcher's jar is missing or older than the code; ./microsnap --version"
                + " builds it, and ./check does that before it tests");
    }

    /** The same, whose every command is {@code ./microsnap} as a person runs it. */
    Launcher eachInItsOwnProcess() {
        return new Launcher(processes, directory, true);
    }

    private static Path checkout() {
        Path place = Path.of("").toAbsolutePath();
        while (!Files.isExecutable(place.resolve("microsnap"))) {
            place = place.getParent();
        }
        return place;
    }

    /** As the launcher itself sees it. */
    private static boolean isFresh(Path checkout) {
        Path jar = checkout.resolve("target/launcher/microsnap.jar");
        try (Stream<Path> modules = Files.list(checkout)) {
            return Files.exists(jar) && modules.filter(module -> Files.exists(module.resolve("pom.xml")))
                    .filter(module -> Files.exists(module.resolve("src/main")))
                    .filter(module -> !module.endsWith("benchmarks") && !module.endsWith("test-support"))
                    .allMatch(module -> isNewer(jar, module.resolve("pom.xml"))
                            && isNewer(jar, module.resolve("src/main")));
        } catch (IOException unreadable) {
            throw new UncheckedIOException(unreadable);
        }
    }

    private static boolean isNewer(Path jar, Path tree) {
        try (Stream<Path> files = Files.walk(tree)) {
            long built = Files.getLastModifiedTime(jar).toMillis();
            return files.allMatch(file -> file.toFile().lastModified() <= built);
        } catch (IOException unreadable) {
            throw new UncheckedIOException(unreadable);
        }
    }

    ProcessBuilder builder(String... arguments) {
        List<String> command = new ArrayList<>(List.of(script.toString()));
        command.addAll(List.of(arguments));
        ProcessBuilder builder = new ProcessBuilder(command).directory(directory.toFile());
        // They live for a second, and there are more than a hundred: the optimizing compiler only costs.
        builder.environment().put("JDK_JAVA_OPTIONS", "-XX:TieredStopAtLevel=1");
        return builder;
    }

    ChildProcess start(String... arguments) {
        return processes.start(builder(arguments));
    }

    /** What a command came to; its status must be the one expected. */
    ChildProcess.Exit run(int status, String... arguments) {
        ChildProcess.Exit exit = eachInItsOwnProcess ? start(arguments).awaitExit() : serve(arguments);
        assertThat(exit.status()).as(String.join(" ", arguments) + "\n" + exit.output() + exit.errors())
                .isEqualTo(status);
        assertThat(exit.errors()).as("no stack trace").doesNotContain("\tat ");
        return exit;
    }

    private synchronized ChildProcess.Exit serve(String... arguments) {
        if (server == null) {
            server = startServer();
        }
        server.send(CommandServer.line(arguments));
        return CommandServer.exit(server);
    }

    private ChildProcess startServer() {
        String classes = checkout.resolve("target/launcher/microsnap.jar") + File.pathSeparator
                + checkout.resolve("snapshot-cli/target/test-classes");
        ProcessBuilder builder = new ProcessBuilder(
                Path.of(System.getProperty("java.home"), "bin", "java").toString(),
                "@" + checkout.resolve("support/jvm.options"), "-XX:TieredStopAtLevel=1", "-XX:+UseSerialGC",
                "-cp", classes, CommandServer.class.getName());
        builder.environment().put("LC_ALL", "C.UTF-8");
        return processes.start(builder.directory(directory.toFile()));
    }

    /** The one document that a command prints with {@code --json}: objects as maps, arrays as lists. */
    Map<?, ?> json(int status, String... arguments) throws IOException {
        List<String> all = new ArrayList<>(List.of(arguments));
        all.add("--json");
        return (Map<?, ?>) parse(run(status, all.toArray(String[]::new)).output());
    }

    static Object parse(String text) throws IOException {
        try (JsonParser parser = new JsonFactory().createParser(text)) {
            parser.nextToken();
            Object value = value(parser);
            assertThat(parser.nextToken()).as("nothing after the document").isNull();
            return value;
        }
    }

    private static Object value(JsonParser parser) throws IOException {
        return switch (parser.currentToken()) {
            case START_OBJECT -> {
                Map<String, Object> object = new LinkedHashMap<>();
                while (parser.nextToken() != JsonToken.END_OBJECT) {
                    String key = parser.currentName();
                    parser.nextToken();
                    object.put(key, value(parser));
                }
                yield object;
            }
            case START_ARRAY -> {
                List<Object> array = new ArrayList<>();
                while (parser.nextToken() != JsonToken.END_ARRAY) {
                    array.add(value(parser));
                }
                yield array;
            }
            case VALUE_NUMBER_INT -> parser.getLongValue();
            case VALUE_NUMBER_FLOAT -> parser.getDoubleValue();
            case VALUE_TRUE -> true;
            case VALUE_FALSE -> false;
            case VALUE_NULL -> null;
            default -> parser.getText();
        };
    }
}
