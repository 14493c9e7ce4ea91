package io.microsnap.benchmarks;

import java.io.IOException;
import java.io.OutputStream;
import java.lang.management.ManagementFactory;
import java.nio.charset.StandardCharsets;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.List;
import java.util.concurrent.TimeUnit;

/**
 * A scenario in a JVM of its own, started as this one was. What the compiler has learnt from one scenario it applies to
 * the code that the next one shares with it: in one JVM the figures would depend on what was measured before.
 */
final class OwnJvm {
    private static final String CHILD = "microsnap.bench.child";
    /** As a shell would report SIGTERM. */
    private static final int ENDED_BY_SIGNAL = 143;
    private static final int MOST_OUTPUT_BYTES = 4 << 20;
    private static final long MOST_SECONDS_TO_END = 150;

    private OwnJvm() {
    }

    /** How a JVM ended, and what it printed on standard output. */
    record Ended(int status, String output) {
    }

    /** Measures one scenario. A JVM that ends without a row has failed. */
    static Row measure(Session.Chosen chosen, int pairs, boolean quickly) throws IOException, InterruptedException {
        String name = chosen.scenario().name();
        List<String> arguments = new ArrayList<>(List.of("one", "--pairs", Integer.toString(pairs)));
        if (quickly) {
            arguments.add("--quick");
        }
        arguments.add(name);
        Ended ended = run(Main.class, arguments.toArray(String[]::new));
        if (ended.status() != 0) {
            return Row.of(chosen.family(), chosen.scenario(), new Outcome.Failed(
                    "its JVM ended with status " + ended.status() + "; what it said is on standard error"));
        }
        return RunFile.readRow("the JVM of " + name, ended.output().getBytes(StandardCharsets.UTF_8));
    }

    /**
     * Runs a main class that calls {@link #endWithParent}. The child ends when this JVM does, however that ends: the
     * child's standard input is a pipe that this JVM alone holds open. When a signal ends this JVM, it waits until
     * the child has taken its filesystems away.
     */
    static Ended run(Class<?> main, String... arguments) throws IOException, InterruptedException {
        List<String> command = new ArrayList<>();
        command.add(Path.of(System.getProperty("java.home"), "bin", "java").toString());
        command.addAll(ManagementFactory.getRuntimeMXBean().getInputArguments());
        command.addAll(List.of("-D" + CHILD + "=true", "-cp", System.getProperty("java.class.path"), main.getName()));
        command.addAll(List.of(arguments));
        Process jvm = new ProcessBuilder(command).redirectError(ProcessBuilder.Redirect.INHERIT).start();
        Thread ending = new Thread(() -> end(jvm), "end of " + jvm.pid());
        Runtime.getRuntime().addShutdownHook(ending);
        try {
            String output = new String(jvm.getInputStream().readNBytes(MOST_OUTPUT_BYTES), StandardCharsets.UTF_8);
            return new Ended(jvm.waitFor(), output);
        } finally {
            jvm.destroy();
            removeUnlessEnding(ending);
        }
    }

    private static void end(Process jvm) {
        jvm.destroy();
        try {
            jvm.waitFor(MOST_SECONDS_TO_END, TimeUnit.SECONDS);
        } catch (InterruptedException e) {
            Thread.currentThread().interrupt();
        }
    }

    /** Where this JVM was started by {@link #run}: ends it, with what it tidies up at its end, when its parent ends. */
    static void endWithParent() {
        if (!Boolean.getBoolean(CHILD)) {
            return;
        }
        Thread.ofPlatform().daemon().name("end with parent").start(() -> {
            try {
                System.in.transferTo(OutputStream.nullOutputStream());
            } catch (IOException gone) {
                // As good as its end.
            }
            System.exit(ENDED_BY_SIGNAL);
        });
    }

    private static void removeUnlessEnding(Thread hook) {
        try {
            Runtime.getRuntime().removeShutdownHook(hook);
        } catch (IllegalStateException ending) {
            // This JVM is shutting down, and the hook does its work.
        }
    }
}
