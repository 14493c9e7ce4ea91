package io.microsnap.benchmarks;

import java.io.PrintStream;
import java.util.Locale;

/** Says what was measured, scenario by scenario, as soon as it is known. */
final class Report {

    private final PrintStream out;

    Report(PrintStream out) {
        this.out = out;
    }

    void announce(Scenario scenario) {
        out.println(scenario.name() + ": " + scenario.question() + "; " + scenario.target());
    }

    void add(Outcome outcome) {
        switch (outcome) {
            case Outcome.Measured measured -> add(measured);
            case Outcome.Skipped skipped -> out.println("    skipped: " + skipped.reason());
            case Outcome.Failed failed -> {
                out.println("    FAILED: " + failed.cause());
                failed.cause().printStackTrace(out);
            }
        }
    }

    private void add(Outcome.Measured measured) {
        out.printf(Locale.ROOT, "    ours %s (at most %s), peer %s, ratio %.3f (%.3f to %.3f in %d pairs): %s%n",
                time(measured.ours()), time(measured.longest()), time(measured.peer()),
                measured.ratio(), measured.lowestRatio(), measured.highestRatio(), measured.pairs().size(),
                switch (measured.verdict()) {
                    case MET -> "met";
                    case CLOSE -> "met within 5 %";
                    case MISSED -> "MISSED";
                    case REPORTED -> "no target";
                });
    }

    static String time(double nanoseconds) {
        if (nanoseconds < 1e3) {
            return String.format(Locale.ROOT, "%.0f ns", nanoseconds);
        }
        if (nanoseconds < 1e6) {
            return String.format(Locale.ROOT, "%.1f µs", nanoseconds / 1e3);
        }
        if (nanoseconds < 1e9) {
            return String.format(Locale.ROOT, "%.2f ms", nanoseconds / 1e6);
        }
        return String.format(Locale.ROOT, "%.2f s", nanoseconds / 1e9);
    }
}
