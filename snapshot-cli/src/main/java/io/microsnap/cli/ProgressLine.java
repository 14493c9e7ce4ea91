package io.microsnap.cli;

import io.microsnap.core.CancelledException;
import io.microsnap.core.Progress;
import java.io.PrintStream;
import java.time.Duration;
import java.util.function.LongSupplier;

/**
 * One line on a terminal with an operation's progress, speed and remaining time. It appears after half a second and
 * disappears when the operation ends. Without a terminal it draws nothing, but still stops the operation on Ctrl-C.
 */
final class ProgressLine implements Progress, AutoCloseable {
    private static final long FIRST_NANOS = 500_000_000L;
    private static final long NEXT_NANOS = 100_000_000L;

    private final String what;
    private final PrintStream terminal;
    private final Interruption interruption;
    private final LongSupplier clock;
    private final long start;
    private long nextDrawn;
    private int drawnColumns;

    /** Draws on the stream, unless it is null. */
    ProgressLine(String what, PrintStream terminal, Interruption interruption, LongSupplier clock) {
        this.what = what;
        this.terminal = terminal;
        this.interruption = interruption;
        this.clock = clock;
        start = clock.getAsLong();
        nextDrawn = start + FIRST_NANOS;
    }

    @Override
    public synchronized void advanced(long doneBytes, long totalBytes) throws CancelledException {
        interruption.check();
        long now = clock.getAsLong();
        if (terminal != null && now - nextDrawn >= 0) {
            nextDrawn = now + NEXT_NANOS;
            draw(doneBytes, totalBytes, now - start);
        }
    }

    /** Wipes the line. */
    @Override
    public synchronized void close() {
        if (drawnColumns > 0) {
            terminal.print("\r" + " ".repeat(drawnColumns) + "\r");
            terminal.flush();
            drawnColumns = 0;
        }
    }

    private void draw(long doneBytes, long totalBytes, long nanos) {
        long rate = (long) (doneBytes / (nanos / 1e9));
        StringBuilder line = new StringBuilder(what).append(": ").append(Sizes.bytes(doneBytes)).append(" of ")
                .append(Sizes.bytes(totalBytes)).append(", ").append(Sizes.bytes(rate)).append("/s");
        if (rate > 0 && doneBytes < totalBytes) {
            line.append(", ").append(Sizes.time(Duration.ofSeconds((totalBytes - doneBytes) / rate + 1)))
                    .append(" left");
        }
        int columns = line.length();
        terminal.print("\r" + line + " ".repeat(Math.max(0, drawnColumns - columns)));
        terminal.flush();
        drawnColumns = columns;
    }
}
