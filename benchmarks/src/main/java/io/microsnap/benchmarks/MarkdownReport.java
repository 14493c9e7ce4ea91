package io.microsnap.benchmarks;

import java.time.LocalDate;
import java.time.ZoneOffset;
import java.util.Locale;

/** A run as tables for a document. */
final class MarkdownReport {
    private MarkdownReport() {
    }

    static String of(Run run) {
        StringBuilder text = new StringBuilder();
        text.append(String.format(Locale.ROOT, "Measured on %s, revision %s, %d pairs a row:%n%n",
                LocalDate.ofInstant(run.started(), ZoneOffset.UTC), run.revision(), run.pairs()));
        run.machine().lines().forEach(line -> text.append("- ").append(line).append('\n'));
        text.append('\n').append(TextReport.counts(run)).append(".\n");
        run.byFamily().forEach((family, rows) -> {
            text.append(String.format(Locale.ROOT, "%n### %s%n%n| row | ours | peer | ratio | target | |%n"
                    + "|---|---|---|---|---|---|%n", family));
            rows.forEach(row -> text.append(line(row)).append('\n'));
        });
        return text.toString();
    }

    private static String line(Row row) {
        return switch (row.outcome()) {
            case Outcome.LeftOut left -> "| `" + row.name() + "` | | | | | left out: " + left.reason() + " |";
            case Outcome.Failed failed -> "| `" + row.name() + "` | | | | | FAILED: " + failed.reason() + " |";
            case Outcome.Measured measured -> {
                Spread ratio = measured.ratio(row.target());
                yield String.format(Locale.ROOT, "| `%s` | %s | %s | %.3f (%.2f to %.2f) | %s | %s |", row.name(),
                        TextReport.spread(row.unit(), measured.ours()), TextReport.spread(row.unit(), measured.peer()),
                        ratio.median(), ratio.low(), ratio.high(), row.target(), row.verdict());
            }
        };
    }
}
