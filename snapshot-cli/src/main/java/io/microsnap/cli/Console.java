package io.microsnap.cli;

import io.microsnap.core.SnapshotException;
import io.microsnap.core.internal.posix.Posix;
import java.io.FileDescriptor;
import java.io.FileOutputStream;
import java.io.PrintStream;
import java.io.PrintWriter;
import java.io.StringWriter;
import java.nio.charset.StandardCharsets;
import java.util.List;

/** A command's output: results on standard output, everything else on standard error. */
final class Console {
    private final Posix posix;
    private final CommonOptions options;
    private final Interruption interruption;
    private final PrintStream results;
    private final PrintStream remarks;
    private boolean reported;

    Console(Posix posix, CommonOptions options, Interruption interruption) {
        // Always UTF-8: output for programs must not depend on the locale.
        this(posix, options, interruption,
                new PrintStream(new FileOutputStream(FileDescriptor.out), false, StandardCharsets.UTF_8),
                new PrintStream(new FileOutputStream(FileDescriptor.err), true, StandardCharsets.UTF_8));
    }

    Console(Posix posix, CommonOptions options, Interruption interruption, PrintStream results, PrintStream remarks) {
        this.posix = posix;
        this.options = options;
        this.interruption = interruption;
        this.results = results;
        this.remarks = remarks;
    }

    Posix posix() {
        return posix;
    }

    Interruption interruption() {
        return interruption;
    }

    /** Prints a result for a person; prints nothing with {@code --json} or {@code --quiet}. */
    void say(String line) {
        if (!options.json && !options.quiet) {
            results.println(Plain.text(line));
        }
    }

    /** Prints text after a lead, wrapped at the terminal's width. */
    void say(String lead, String text) {
        int columns = Terminal.columns(posix, Terminal.STANDARD_OUTPUT);
        Paragraph.lines(lead, text, columns).forEach(this::say);
    }

    void say(Table table) {
        List<String> lines = table.lines(Terminal.columns(posix, Terminal.STANDARD_OUTPUT));
        lines.forEach(this::say);
    }

    /** Prints the one JSON document: the first. */
    void report(Document document) {
        if (options.json && !reported) {
            reported = true;
            results.println(document.json());
        }
    }

    /** Prints a remark for a person, in addition to the result. */
    void remark(String line) {
        if (!options.quiet) {
            remarks.println(Plain.text(line));
        }
    }

    /** Prints a warning of the library, and the cause if there is one. */
    void warn(String message, Throwable cause) {
        remark("microsnap: warning: " + message
                + (cause == null ? "" : ": " + Failure.of(cause).message()));
        if (cause != null) {
            trace(cause);
        }
    }

    /** Returns a progress line; close it when the work is done. */
    ProgressLine progress(String what) {
        boolean watched = !options.quiet && !options.json && Terminal.is(posix, Terminal.STANDARD_ERROR);
        return new ProgressLine(what, watched ? remarks : null, interruption, System::nanoTime);
    }

    /** Throws if the output was not written. */
    void finish() throws SnapshotException {
        if (results.checkError()) {
            throw new SnapshotException("standard output cannot be written (closed by its reader?);"
                    + " the command itself was carried out");
        }
    }

    /** Prints on one line why a command failed. */
    void fail(Failure failure) {
        report(failure.document());
        results.flush();
        remarks.println("microsnap: " + Plain.text(failure.message()));
        trace(failure.cause());
    }

    private void trace(Throwable cause) {
        if (options.verbose) {
            StringWriter trace = new StringWriter();
            cause.printStackTrace(new PrintWriter(trace, true));
            trace.toString().lines().forEach(line -> remarks.println("  " + Plain.text(line.strip())));
        }
    }
}
