package io.microsnap.benchmarks;

import java.io.PrintStream;
import java.util.List;
import java.util.Locale;
import java.util.stream.Collectors;

/** Prints a run as a table, row by row, as soon as each is known. */
final class TextReport {
    private static final int NAME_WIDTH = 46;
    private static final int PERCENT = 100;

    private final PrintStream out;
    private String family = "";

    TextReport(PrintStream out) {
        this.out = out;
    }

    void machine(Machine machine) {
        machine.lines().forEach(out::println);
    }

    void row(Row row) {
        if (!row.family().equals(family)) {
            family = row.family();
            out.printf("%n%-" + NAME_WIDTH + "s %-17s %-17s %-22s %-15s %s%n", family.toUpperCase(Locale.ROOT), "OURS",
                    "PEER", "RATIO", "TARGET", "");
        }
        switch (row.outcome()) {
            case Outcome.LeftOut left -> out.printf("%-" + NAME_WIDTH + "s left out: %s%n", row.name(), left.reason());
            case Outcome.Failed failed -> out.printf("%-" + NAME_WIDTH + "s FAILED: %s%n", row.name(), failed.reason());
            case Outcome.Measured measured -> measured(row, measured);
        }
    }

    private void measured(Row row, Outcome.Measured measured) {
        Spread ratio = measured.ratio(row.target());
        out.printf(Locale.ROOT, "%-" + NAME_WIDTH + "s %-17s %-17s %-22s %-15s %s%n", row.name(),
                spread(row.unit(), measured.ours()), spread(row.unit(), measured.peer()),
                String.format(Locale.ROOT, "%.3f (%.2f to %.2f)", ratio.median(), ratio.low(), ratio.high()),
                row.target(), row.verdict());
        if (measured.firstDiffers()) {
            out.println("    first in a JVM: " + row.unit().text(measured.first().ours()) + ", peer "
                    + row.unit().text(measured.first().peer()));
        }
        if (!measured.readings().isEmpty()) {
            out.println("    " + measured.readings().stream().map(Reading::text).collect(Collectors.joining("; ")));
        }
    }

    /** Writes a median with how far, at most, the runs were away from it. */
    static String spread(Unit unit, Spread spread) {
        return unit.text(spread.median()) + String.format(Locale.ROOT, " ±%.0f %%", PERCENT * spread.relative());
    }

    void summary(Run run) {
        out.println();
        out.println(counts(run));
        list("missed", run, Row.Verdict.MISSED);
        list("failed", run, Row.Verdict.FAILED);
    }

    static String counts(Run run) {
        return String.format(Locale.ROOT, "%d rows: %d met their target, %d within 5 %%, %d missed it, %d have none,"
                + " %d were left out, %d failed", run.rows().size(), run.count(Row.Verdict.MET),
                run.count(Row.Verdict.CLOSE), run.count(Row.Verdict.MISSED), run.count(Row.Verdict.REPORTED),
                run.count(Row.Verdict.LEFT_OUT), run.count(Row.Verdict.FAILED));
    }

    private void list(String what, Run run, Row.Verdict verdict) {
        List<String> names = run.rows().stream().filter(row -> row.verdict() == verdict).map(Row::name).toList();
        if (!names.isEmpty()) {
            out.println(what + ": " + String.join(", ", names));
        }
    }

    void findings(Comparison comparison, Run run, List<Comparison.Finding> findings) {
        comparison.remarks(run).forEach(out::println);
        findings.forEach(out::println);
        if (findings.isEmpty()) {
            out.println("nothing became slower or faster since the old run");
        }
    }
}
