package io.microsnap.testsupport;

import java.io.File;
import java.io.IOException;
import java.io.UncheckedIOException;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.List;
import java.util.Map;
import java.util.concurrent.CopyOnWriteArrayList;

/** Starts processes for one test, which takes it as a parameter; whatever still runs when the test ends is killed. */
public final class ChildProcesses implements AutoCloseable {

    // Most children live for a second, and tests start hundreds: what makes a JVM fast in the long run only costs.
    private static final List<String> SHORT_LIVED = List.of("-XX:TieredStopAtLevel=1", "-XX:+UseSerialGC");

    private final List<ChildProcess> children = new CopyOnWriteArrayList<>();

    /** None yet. */
    public ChildProcesses() {
    }

    /** A JVM with the class path of this one and its flags, made to start quickly, in {@code main} of that class. */
    public ChildProcess java(Class<?> main, String... arguments) {
        return java(Map.of(), main, arguments);
    }

    /** As {@link #java(Class, String...)}, with more in its environment. */
    public ChildProcess java(Map<String, String> environment, Class<?> main, String... arguments) {
        ProcessBuilder builder = javaBuilder(main, arguments);
        builder.environment().putAll(environment);
        return start(builder);
    }

    /** As {@link #java(Class, String...)}; see {@link #startInterruptible}. */
    public ChildProcess interruptibleJava(Class<?> main, String... arguments) {
        return startInterruptible(javaBuilder(main, arguments));
    }

    private static ProcessBuilder javaBuilder(Class<?> main, String... arguments) {
        List<String> command = new ArrayList<>(List.of(
                Path.of(System.getProperty("java.home"), "bin", "java").toString(), "@" + Checkout.jvmOptions()));
        command.addAll(SHORT_LIVED);
        command.addAll(List.of("-cp", absoluteClassPath(), main.getName()));
        command.addAll(List.of(arguments));
        return new ProcessBuilder(command);
    }

    /** Any command. */
    public ChildProcess command(String... command) {
        return start(new ProcessBuilder(command));
    }

    /** Any command, in a directory or an environment of its own. */
    public ChildProcess start(ProcessBuilder builder) {
        try {
            ChildProcess child = new ChildProcess(String.join(" ", builder.command()), builder.start());
            children.add(child);
            return child;
        } catch (IOException e) {
            throw new UncheckedIOException(e);
        }
    }

    /** Any command, on Linux; Ctrl-C ends it also where these tests run in a shell's background, which ignores that. */
    public ChildProcess startInterruptible(ProcessBuilder builder) {
        List<String> command = new ArrayList<>(List.of("env", "--default-signal=INT"));
        command.addAll(builder.command());
        return start(builder.command(command));
    }

    private static String absoluteClassPath() {
        List<String> entries = new ArrayList<>();
        for (String entry : System.getProperty("java.class.path").split(File.pathSeparator, -1)) {
            entries.add(Path.of(entry).toAbsolutePath().toString());
        }
        return String.join(File.pathSeparator, entries);
    }

    /** Kills those that still run, and what they started. */
    @Override
    public void close() {
        children.forEach(ChildProcess::killTree);
    }
}
