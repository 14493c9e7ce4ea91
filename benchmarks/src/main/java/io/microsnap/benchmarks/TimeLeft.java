package io.microsnap.benchmarks;

import java.io.PrintStream;
import java.time.Duration;

/** Tells on standard error what is measured and about how long the rest will take, by what the rows so far took. */
final class TimeLeft implements Session.Progress {
    private final PrintStream out;
    private final long start = System.nanoTime();

    TimeLeft(PrintStream out) {
        this.out = out;
    }

    @Override
    public void next(int number, int of, String name) {
        int done = number - 1;
        String left = done == 0 ? "" : ", about " + text((System.nanoTime() - start) / done * (of - done)) + " left";
        out.println("[" + number + "/" + of + left + "] " + name);
    }

    private static String text(long nanos) {
        Duration left = Duration.ofNanos(nanos);
        return left.toMinutes() >= 2 ? left.toMinutes() + " min" : left.toSeconds() + " s";
    }
}
