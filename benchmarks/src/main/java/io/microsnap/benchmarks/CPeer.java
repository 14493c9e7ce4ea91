package io.microsnap.benchmarks;

import java.io.BufferedReader;
import java.io.BufferedWriter;
import java.io.IOException;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.List;
import java.util.stream.Stream;

/**
 * A peer written in C: one process for all runs, so that it is as warm as we are. {@code peer.h} is its half of the
 * conversation: a line asks for a run, a line answers with its nanoseconds, and with what else the peer measured.
 */
final class CPeer implements Contestant, AutoCloseable {

    private final Path program;
    private final Process process;
    private final BufferedWriter requests;
    private final BufferedReader answers;
    private List<Long> readings = List.of();

    CPeer(Path program, Process process) {
        this.program = program.getFileName();
        this.process = process;
        this.requests = process.outputWriter();
        this.answers = process.inputReader();
    }

    @Override
    public long run() throws IOException {
        String answer = ask("run");
        List<Long> numbers = Stream.of(answer.split(" ", -1)).map(Long::valueOf).toList();
        readings = numbers.subList(1, numbers.size());
        return numbers.getFirst();
    }

    /** Sends one word, and returns the line that the peer answers. */
    String ask(String word) throws IOException {
        requests.write(word + "\n");
        requests.flush();
        String answer = answers.readLine();
        if (answer == null) {
            throw new IOException("the peer " + program + " gave up; what it said is above");
        }
        return answer;
    }

    long pid() {
        return process.pid();
    }

    /** What the last run answered beside its time. */
    List<Long> readings() {
        return readings;
    }

    static Process start(Path program, List<String> arguments) throws IOException {
        List<String> command = new ArrayList<>(List.of(program.toString()));
        command.addAll(arguments);
        return new ProcessBuilder(command).redirectError(ProcessBuilder.Redirect.INHERIT).start();
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
