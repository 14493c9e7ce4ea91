package io.microsnap.benchmarks;

import java.io.IOException;
import java.util.ArrayList;
import java.util.List;

/** Starts commands that do not outlive this JVM, however it ends: the shell beside each waits for the end of a pipe. */
final class Tethered {
    /** The command has the shell's output and no input; the one that waits for the pipe's end kills it. */
    private static final String SCRIPT = """
            exec 3<&0
            "$@" 3<&- </dev/null &
            command=$!
            { read -r any <&3; kill -KILL "$command"; } >/dev/null 2>&1 &
            tether=$!
            exec 3<&-
            wait "$command"
            status=$?
            kill "$tether" 2>/dev/null
            exit "$status"
            """;

    private Tethered() {
    }

    /** Starts a command; its standard error goes to its standard output. */
    static Process start(String... command) throws IOException {
        List<String> words = new ArrayList<>(List.of("sh", "-c", SCRIPT, "sh"));
        words.addAll(List.of(command));
        return new ProcessBuilder(words).redirectErrorStream(true).start();
    }

    /** Ends a command that would go on. */
    static void end(Process process) throws IOException {
        process.getOutputStream().close();
        process.onExit().join();
    }
}
