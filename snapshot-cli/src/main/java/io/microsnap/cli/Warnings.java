package io.microsnap.cli;

import java.util.Arrays;
import java.util.logging.Handler;
import java.util.logging.Level;
import java.util.logging.LogRecord;
import java.util.logging.Logger;
import java.util.logging.SimpleFormatter;

/**
 * Prints the library's warnings in the style of the commands: one line each, with a stack trace only on {@code
 * --verbose}.
 */
final class Warnings extends Handler implements AutoCloseable {
    // Referenced here, because an unreferenced logger is collected and loses its level.
    private static final Logger LOGGER = Logger.getLogger("io.microsnap");

    private final Console console;
    private final SimpleFormatter formatter = new SimpleFormatter();

    private Warnings(Console console) {
        this.console = console;
    }

    /** Prints warnings until this is closed. Lower levels only repeat the command's own output. */
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
        // Each line is flushed at once.
    }

    @Override
    public void close() {
        LOGGER.removeHandler(this);
    }
}
