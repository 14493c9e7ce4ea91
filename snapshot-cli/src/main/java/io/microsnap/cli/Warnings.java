package io.microsnap.cli;

import java.util.Arrays;
import java.util.logging.Handler;
import java.util.logging.Level;
import java.util.logging.LogRecord;
import java.util.logging.Logger;
import java.util.logging.SimpleFormatter;

/** What the library warns of, printed as the commands print: a line each, and a stack trace only for those who ask. */
final class Warnings extends Handler implements AutoCloseable {
    // Held here: a logger that nobody holds forgets its level.
    private static final Logger LOGGER = Logger.getLogger("io.microsnap");

    private final Console console;
    private final SimpleFormatter formatter = new SimpleFormatter();

    private Warnings(Console console) {
        this.console = console;
    }

    /** Prints them until this is closed. What is less than a warning is what the command prints itself. */
    static Warnings printed(Console console) {
        Warnings warnings = new Warnings(console);
        LOGGER.setLevel(Level.WARNING);
        LOGGER.setUseParentHandlers(false);
        Arrays.stream(LOGGER.getHandlers()).forEach(LOGGER::removeHandler);
        LOGGER.addHandler(warnings);
        return warnings;
    }

    @Override
    public void publish(LogRecord record) {
        if (isLoggable(record)) {
            console.warn(formatter.formatMessage(record), record.getThrown());
        }
    }

    @Override
    public void flush() {
        // Each line is printed at once.
    }

    @Override
    public void close() {
        LOGGER.removeHandler(this);
    }
}
