package io.microsnap.cli;

import io.microsnap.testsupport.ChildProcess;
import java.io.BufferedReader;
import java.io.IOException;
import java.io.InputStreamReader;
import java.nio.charset.StandardCharsets;
import java.util.Base64;
import java.util.stream.Collectors;
import java.util.stream.Stream;

/**
 * Runs one command after another in one process, as {@link Main} runs one: most of what a command costs is the start of
 * its JVM. A command that leaves a lock or a file open harms the next.
 */
final class CommandServer {
    private static final String END = "=== the command ended with ";

    private CommandServer() {
    }

    /** Reads a command a line, until its standard input ends. */
    public static void main(String[] none) throws IOException {
        System.setProperty("slf4j.internal.verbosity", "ERROR");
        BufferedReader lines = new BufferedReader(new InputStreamReader(System.in, StandardCharsets.US_ASCII));
        for (String line = lines.readLine(); line != null; line = lines.readLine()) {
            int status = Main.commandLine().execute(arguments(line));
            System.out.println("\n" + END + status);
            System.err.println("\n" + END + status);
            System.out.flush();
            System.err.flush();
        }
    }

    /** What to send for these arguments. */
    static String line(String... arguments) {
        return Stream.of(arguments).map(argument -> Base64.getEncoder()
                .encodeToString(("." + argument).getBytes(StandardCharsets.UTF_8))).collect(Collectors.joining(" "));
    }

    private static String[] arguments(String line) {
        return line.isEmpty() ? new String[0] : Stream.of(line.split(" ", -1))
                .map(word -> new String(Base64.getDecoder().decode(word), StandardCharsets.UTF_8).substring(1))
                .toArray(String[]::new);
    }

    /** How the command ended that was sent last, and what it said. */
    static ChildProcess.Exit exit(ChildProcess server) {
        String output = server.outputThrough(END);
        String errors = server.errorsThrough(END);
        int status = Integer.parseInt(output.substring(output.lastIndexOf(END) + END.length()).strip());
        return new ChildProcess.Exit(status, before(output), before(errors));
    }

    private static String before(String said) {
        return said.substring(0, said.lastIndexOf("\n" + END));
    }
}
