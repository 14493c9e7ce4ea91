package io.microsnap.benchmarks;

import io.microsnap.benchmarks.chart.ChartStyle;
import io.microsnap.benchmarks.chart.LineChart;
import java.time.ZoneOffset;
import java.time.format.DateTimeFormatter;
import java.util.List;
import java.util.Locale;
import java.util.Map;
import java.util.stream.Collectors;

/** A run as one page that needs nothing else: no script, no other file, readable on a phone and on paper. */
final class HtmlReport {
    private static final String STYLE = """
            * { box-sizing: border-box; }
            body { margin: 0; background: var(--paper); color: var(--ink); line-height: 1.5;
              font: 16px/1.5 system-ui, -apple-system, "Segoe UI", Roboto, "Liberation Sans", sans-serif; }
            main { max-width: 1180px; margin: 0 auto; padding: 40px 24px 80px; }
            h1 { font-size: 30px; line-height: 1.2; margin: 0 0 8px; }
            h2 { font-size: 21px; margin: 56px 0 4px; }
            p { margin: 4px 0 16px; max-width: 72ch; }
            .soft, small { color: var(--soft); }
            ul.machine { list-style: none; margin: 16px 0 28px; padding: 0; color: var(--soft); font-size: 14px;
              overflow-wrap: anywhere; }
            .tiles { display: flex; flex-wrap: wrap; gap: 12px; margin: 0 0 8px; padding: 0; }
            .tile { background: var(--card); border-radius: 10px; padding: 12px 20px; min-width: 104px; }
            .tile b { display: block; font-size: 26px; line-height: 1.2; }
            .tile.bad b { color: var(--bad); } .tile.good b { color: var(--good); }
            .charts { display: grid; grid-template-columns: repeat(auto-fit, minmax(min(100%, 430px), 1fr)); gap: 28px;
              margin: 24px 0; align-items: start; }
            figure { margin: 0; background: var(--paper); border: 1px solid var(--grid); border-radius: 10px;
              padding: 12px; break-inside: avoid; }
            figure svg { display: block; width: 100%; max-width: 640px; height: auto; margin: 0 auto; }
            table { border-collapse: collapse; width: 100%; font-size: 14px; font-variant-numeric: tabular-nums; }
            th { text-align: left; font-weight: 600; color: var(--soft); border-bottom: 1px solid var(--soft); }
            th, td { padding: 7px 14px 7px 0; vertical-align: top; }
            td { border-bottom: 1px solid var(--grid); }
            td.name { overflow-wrap: anywhere; min-width: 220px; }
            td small { display: block; font-size: 12px; }
            td[data-label], td[data-label] small { white-space: nowrap; }
            .verdict { white-space: nowrap; font-weight: 600; }
            .MISSED, .FAILED { color: var(--bad); } .MET, .CLOSE { color: var(--good); }
            .REPORTED, .LEFT_OUT { color: var(--soft); font-weight: 400; }
            code { font: 13px ui-monospace, "SFMono-Regular", Menlo, "Liberation Mono", monospace; }
            @media (max-width: 720px) {
              main { padding: 24px 14px 56px; }
              table, tbody, tr, td { display: block; width: 100%; }
              thead { display: none; }
              tr { border-bottom: 1px solid var(--grid); padding: 10px 0; }
              td { border: 0; padding: 1px 0; }
              td[data-label] small { display: inline; }
              td[data-label]::before { content: attr(data-label) " "; color: var(--soft); }
              .tile { flex: 1 1 90px; padding: 10px 14px; }
              figure { padding: 6px; }
            }
            @media print {
              :root { color-scheme: light; --paper: #ffffff; --card: #f6f8fa; --ink: #000000; --soft: #444444;
                --grid: #cccccc; --s0: #0067a5; --s1: #c4500a; --s2: #007a5a; --s3: #a0498c; --s4: #806600;
                --s5: #444d56; --good: #0067a5; --bad: #c4500a; }
              main { max-width: none; padding: 0; } body { font-size: 11pt; }
              .charts { grid-template-columns: 1fr 1fr; gap: 12px; } tr { break-inside: avoid; }
            }
            """;
    private static final int PERCENT = 100;

    private final Run run;
    private final List<String> changes;
    private final StringBuilder page = new StringBuilder();

    /**
     * @param changes what became slower or faster since an older run, and what to know about that; empty where there is
     *     no older run
     */
    HtmlReport(Run run, List<String> changes) {
        this.run = run;
        this.changes = List.copyOf(changes);
    }

    String page() {
        add("""
                <!DOCTYPE html>
                <html lang="en">
                <head>
                <meta charset="utf-8">
                <meta name="viewport" content="width=device-width, initial-scale=1">
                <title>microsnap benchmarks</title>
                <style>
                """);
        add(ChartStyle.COLOURS + ChartStyle.CHART + STYLE);
        add("</style>\n</head>\n<body>\n<main>\n");
        head();
        if (!changes.isEmpty()) {
            add("<h2>Since the older run</h2>\n<ul>\n");
            changes.forEach(change -> add("<li>%s</li>\n".formatted(escaped(change))));
            add("</ul>\n");
        }
        Charts charts = new Charts(run);
        Map<String, LineChart> lines = charts.lines();
        if (!lines.isEmpty()) {
            add("<h2>At a glance</h2>\n<div class=\"charts\">\n");
            lines.values().forEach(chart -> add("<figure>\n%s</figure>\n".formatted(chart.drawn())));
            add("</div>\n");
        }
        run.byFamily().forEach(this::family);
        howToRead();
        add("</main>\n</body>\n</html>\n");
        return page.toString();
    }

    private void head() {
        String date = DateTimeFormatter.ofPattern("d MMMM uuuu, HH:mm 'UTC'", Locale.ENGLISH)
                .withZone(ZoneOffset.UTC).format(run.started());
        add("<h1>microsnap benchmarks</h1>\n<p class=\"soft\">%s · revision %s · %d pairs a row</p>\n".formatted(date,
                escaped(run.revision()), run.pairs()));
        add("<ul class=\"machine\">\n");
        run.machine().lines().forEach(line -> add("<li>%s</li>\n".formatted(escaped(line))));
        add("</ul>\n<div class=\"tiles\">\n");
        tile("good", run.count(Row.Verdict.MET) + run.count(Row.Verdict.CLOSE), "targets met");
        tile(run.count(Row.Verdict.MISSED) > 0 ? "bad" : "", run.count(Row.Verdict.MISSED), "missed");
        tile("", run.count(Row.Verdict.REPORTED), "without target");
        tile("", run.count(Row.Verdict.LEFT_OUT), "left out");
        tile(run.count(Row.Verdict.FAILED) > 0 ? "bad" : "", run.count(Row.Verdict.FAILED), "failed");
        add("</div>\n");
    }

    private void tile(String tone, long count, String words) {
        add("<div class=\"tile %s\"><b>%d</b>%s</div>\n".formatted(tone, count, words));
    }

    private void family(String name, List<Row> rows) {
        add("<h2>%s</h2>\n".formatted(escaped(name)));
        Scenarios.families().stream().filter(family -> family.name().equals(name)).findFirst()
                .ifPresent(family -> add("<p>%s</p>\n".formatted(escaped(family.question()))));
        add("<table>\n<thead><tr><th>row</th><th>ours</th><th>peer</th><th>ratio</th><th>target</th><th></th>"
                + "</tr></thead>\n<tbody>\n");
        rows.forEach(this::row);
        add("</tbody>\n</table>\n");
        List<Row> measured = rows.stream().filter(row -> row.outcome() instanceof Outcome.Measured).toList();
        if (!measured.isEmpty()) {
            add("<div class=\"charts\">\n<figure>\n%s</figure>\n</div>\n"
                    .formatted(Charts.strips(name, measured).drawn()));
        }
    }

    private void row(Row row) {
        add("<tr><td class=\"name\"><code>%s</code><small>%s</small>"
                .formatted(escaped(row.name()), escaped(row.question())));
        String verdict = "<td class=\"verdict " + row.verdict().name() + "\">" + row.verdict() + "</td></tr>\n";
        switch (row.outcome()) {
            case Outcome.LeftOut left ->
                    add("</td><td colspan=\"4\">%s</td>%s".formatted(escaped(left.reason()), verdict));
            case Outcome.Failed failed ->
                    add("</td><td colspan=\"4\">%s</td>%s".formatted(escaped(failed.reason()), verdict));
            case Outcome.Measured measured -> {
                if (!measured.readings().isEmpty()) {
                    add("<small>%s</small>".formatted(escaped(measured.readings().stream().map(Reading::text)
                            .collect(Collectors.joining(" · ")))));
                }
                if (measured.firstDiffers()) {
                    add("<small>first in a JVM: %s (peer %s)</small>"
                            .formatted(row.unit().text(measured.first().ours()),
                                    row.unit().text(measured.first().peer())));
                }
                Spread ratio = measured.ratio(row.target());
                add(("</td><td data-label=\"ours\">%s</td><td data-label=\"peer\">%s</td>"
                        + "<td data-label=\"ratio\">%s</td><td data-label=\"target\">%s</td>%s").formatted(
                        spread(row.unit(), measured.ours()), spread(row.unit(), measured.peer()),
                        String.format(Locale.ROOT, "%.3f <small>%.2f to %.2f</small>", ratio.median(), ratio.low(),
                                ratio.high()), escaped(row.target().toString()), verdict));
            }
        }
    }

    private static String spread(Unit unit, Spread spread) {
        return unit.text(spread.median())
                + String.format(Locale.ROOT, " <small>±%.0f %%</small>", PERCENT * spread.relative());
    }

    private void howToRead() {
        add("""
                <h2>How to read this</h2>
                <p>Each row runs in a JVM of its own. Our side and its peer, most often the same job in C, take turns on
                warmed memory; what both made is compared after every pair. The times are medians, ± how far at most a
                run was away. The ratio is the median of the pairs' ratios: what drifts over a run cancels within a
                pair. A target “time” is met by a ratio at or below it, “speed” by one at or above it. A row whose
                output was wrong has no time. A first run in a JVM is shown where it differs from the steady state. PSS
                counts a page that several mappings share in parts.</p>
                """);
    }

    private static String escaped(String words) {
        return words.replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;").replace("\"", "&quot;");
    }

    private void add(String text) {
        page.append(text);
    }
}
