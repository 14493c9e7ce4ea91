package io.microsnap.benchmarks;

import java.io.BufferedReader;
import java.io.BufferedWriter;
import java.io.IOException;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.List;

/**
 * A peer written in C: one process for all runs, so that it is as warm as we are. {@code peer.h} is its half of the
 * conversation: a line asks for a run, a line answers with its nanoseconds.
 */
final class CPeer implements Contestant, AutoCloseable {

    private final Path program;
    private final Process process;
    private final BufferedWriter requests;
    private final BufferedReader answers;

    CPeer(Path program, List<String> arguments) throws IOException {
        List<String> command = new ArrayList<>(List.of(program.toString()));
        command.addAll(arguments);
        this.program = program.getFileName();
        this.process = new ProcessBuilder(command).redirectError(ProcessBuilder.Redirect.INHERIT).start();
        this.requests = process.outputWriter();
        this.answers = process.inputReader();
    }

    @Override
    public long run() throws IOException {
        requests.write("run\n");
        requests.flush();
        String answer = answers.readLine();
        if (answer == null) {
            throw new IOException("the peer " + program + " gave up; what it said is above");
        }
        return Long.parseLong(answer);
    }

    @Override
    public void close() throws IOException {
        process.getOutputStream().close();
        int status = process.onExit().join().exitValue();
        if (status != 0) {
            throw new IOException("the peer " + program + " ended with status " + status);
        }
    }
}
