package io.microsnap.testsupport;

import java.io.BufferedReader;
import java.io.BufferedWriter;
import java.io.IOException;
import java.io.UncheckedIOException;
import java.util.concurrent.TimeUnit;

/**
 * A process that a test started: what it says can be waited for, so that tests meet it at a known point without
 * sleeping. Every wait ends after two minutes at the latest, with an error that shows what the process said.
 */
public final class ChildProcess {

    private static final long PATIENCE_NANOS = TimeUnit.MINUTES.toNanos(2);

    private final String command;
    private final Process process;
    private final BufferedWriter input;
    private final Said output;
    private final Said errors;

    ChildProcess(String command, Process process) {
        this.command = command;
        this.process = process;
        this.input = process.outputWriter();
        this.output = new Said(process.inputReader(), "output");
        this.errors = new Said(process.errorReader(), "errors");
    }

    /** What became of it: its exit status (128 + the signal that killed it) and all it said. */
    public record Exit(int status, String output, String errors) {

        /** Whether SIGKILL ended it. */
        public boolean wasKilled() {
            return status == 128 + 9;
        }
    }

    /** Its process id. */
    public long pid() {
        return process.pid();
    }

    /** The next line of its standard output that contains {@code text}; earlier lines are passed over. */
    public String awaitLine(String text) {
        return output.awaitLine(text, this);
    }

    /** Returns all that follows on its standard output, up to and with the next line that contains {@code text}. */
    public String outputThrough(String text) {
        return output.through(text, this);
    }

    /** Returns all that follows on its standard error, up to and with the next line that contains {@code text}. */
    public String errorsThrough(String text) {
        return errors.through(text, this);
    }

    /** Writes a line to its standard input. */
    public void send(String line) {
        try {
            input.write(line);
            input.newLine();
            input.flush();
        } catch (IOException e) {
            throw new UncheckedIOException("cannot send to " + this, e);
        }
    }

    /** Closes its standard input. */
    public void endInput() {
        try {
            input.close();
        } catch (IOException e) {
            throw new UncheckedIOException("cannot close the input of " + this, e);
        }
    }

    /** SIGKILL: it gets no chance to tidy up. Returns when it is dead. */
    public Exit kill() {
        process.destroyForcibly();
        return awaitExit();
    }

    /** SIGTERM: asks it to end. */
    public void terminate() {
        process.destroy();
    }

    /** Waits until it ends. */
    public Exit awaitExit() {
        try {
            if (!process.waitFor(PATIENCE_NANOS, TimeUnit.NANOSECONDS)) {
                throw new AssertionError("still running after two minutes: " + this);
            }
            return new Exit(process.exitValue(), output.all(), errors.all());
        } catch (InterruptedException e) {
            throw interrupted(e);
        }
    }

    void killTree() {
        process.descendants().forEach(ProcessHandle::destroyForcibly);
        process.destroyForcibly();
        process.onExit().join();
    }

    /** The command, and what it said so far. */
    @Override
    public String toString() {
        return command + " (process " + process.pid() + ")\n--- output\n" + output.soFar()
                + "--- errors\n" + errors.soFar();
    }

    private IllegalStateException interrupted(InterruptedException cause) {
        Thread.currentThread().interrupt();
        return new IllegalStateException("interrupted while waiting for " + this, cause);
    }

    /** One stream of the process, read by a thread of its own so that the process never blocks on a full pipe. */
    private static final class Said {

        private final StringBuilder text = new StringBuilder();
        private final Thread reader;
        private int passed;
        private boolean ended;

        Said(BufferedReader stream, String name) {
            reader = Thread.ofVirtual().name("child process " + name).start(() -> read(stream));
        }

        private void read(BufferedReader stream) {
            try (stream) {
                for (String line = stream.readLine(); line != null; line = stream.readLine()) {
                    synchronized (this) {
                        text.append(line).append('\n');
                        notifyAll();
                    }
                }
            } catch (IOException e) {
                // The stream of a killed process may break instead of ending; either way there is no more.
            } finally {
                synchronized (this) {
                    ended = true;
                    notifyAll();
                }
            }
        }

        String all() throws InterruptedException {
            reader.join();
            return soFar();
        }

        synchronized String soFar() {
            return text.toString();
        }

        String through(String wanted, ChildProcess child) {
            int from;
            synchronized (this) {
                from = passed;
            }
            awaitLine(wanted, child);
            synchronized (this) {
                return text.substring(from, passed);
            }
        }

        String awaitLine(String wanted, ChildProcess child) {
            long deadline = System.nanoTime() + PATIENCE_NANOS;
            synchronized (this) {
                while (true) {
                    for (int end = text.indexOf("\n", passed); end >= 0; end = text.indexOf("\n", passed)) {
                        String line = text.substring(passed, end);
                        passed = end + 1;
                        if (line.contains(wanted)) {
                            return line;
                        }
                    }
                    long left = deadline - System.nanoTime();
                    if (ended || left <= 0) {
                        break;
                    }
                    try {
                        TimeUnit.NANOSECONDS.timedWait(this, left);
                    } catch (InterruptedException e) {
                        throw child.interrupted(e);
                    }
                }
            }
            throw new AssertionError("waited for a line with \"" + wanted + "\" from " + child);
        }
    }
}
