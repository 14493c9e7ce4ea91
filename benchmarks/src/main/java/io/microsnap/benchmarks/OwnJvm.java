package io.microsnap.benchmarks;

import java.io.IOException;
import java.io.OutputStream;
import java.lang.management.ManagementFactory;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.List;
import java.util.regex.Pattern;

/**
 * A scenario in a JVM of its own, started as this one was. What the compiler has learnt from one scenario it applies to
 * the code that the next one shares with it: in one JVM the figures would depend on what was measured before.
 */
final class OwnJvm {

    private static final String CHILD = "microsnap.bench.child";
    /** As a shell would report SIGTERM. */
    private static final int ENDED_BY_SIGNAL = 143;

    private OwnJvm() {
    }

    /** Runs one scenario, and returns the exit status. */
    static int run(String scenario, int pairs) throws IOException, InterruptedException {
        return run(Main.class, "scenarios", "--pairs", Integer.toString(pairs), "^" + Pattern.quote(scenario) + "$");
    }

    /**
     * Runs a main class that calls {@link #endWithParent}, and returns the exit status. The child ends when this JVM
     * does, however that ends: the child's standard input is a pipe that this JVM alone holds open.
     */
    static int run(Class<?> main, String... arguments) throws IOException, InterruptedException {
        List<String> command = new ArrayList<>();
        command.add(Path.of(System.getProperty("java.home"), "bin", "java").toString());
        command.addAll(ManagementFactory.getRuntimeMXBean().getInputArguments());
        command.addAll(List.of("-D" + CHILD + "=true", "-cp", System.getProperty("java.class.path"), main.getName()));
        command.addAll(List.of(arguments));
        Process jvm = new ProcessBuilder(command).inheritIO().redirectInput(ProcessBuilder.Redirect.PIPE).start();
        Thread ending = new Thread(jvm::destroy, "end of " + jvm.pid());
        Runtime.getRuntime().addShutdownHook(ending);
        try {
            return jvm.waitFor();
        } finally {
            jvm.destroy();
            removeUnlessEnding(ending);
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
