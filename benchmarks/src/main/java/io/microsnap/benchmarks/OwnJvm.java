package io.microsnap.benchmarks;

import java.io.IOException;
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

    private OwnJvm() {
    }

    /** Runs one scenario, and returns the exit status. A signal that ends us ends it too, unless it is a kill. */
    static int run(String scenario, int pairs) throws IOException, InterruptedException {
        List<String> command = new ArrayList<>();
        command.add(Path.of(System.getProperty("java.home"), "bin", "java").toString());
        command.addAll(ManagementFactory.getRuntimeMXBean().getInputArguments());
        command.addAll(List.of("-cp", System.getProperty("java.class.path"), Main.class.getName(),
                "scenarios", "--pairs", Integer.toString(pairs), "^" + Pattern.quote(scenario) + "$"));
        Process jvm = new ProcessBuilder(command).inheritIO().start();
        Thread ending = new Thread(jvm::destroy, "end of " + scenario);
        Runtime.getRuntime().addShutdownHook(ending);
        try {
            return jvm.waitFor();
        } finally {
            jvm.destroy();
            removeUnlessEnding(ending);
        }
    }

    private static void removeUnlessEnding(Thread hook) {
        try {
            Runtime.getRuntime().removeShutdownHook(hook);
        } catch (IllegalStateException ending) {
            // This JVM is shutting down, and the hook does its work.
        }
    }
}
