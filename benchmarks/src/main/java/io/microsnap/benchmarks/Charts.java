package io.microsnap.benchmarks;

import io.microsnap.benchmarks.chart.Axis;
import io.microsnap.benchmarks.chart.LineChart;
import io.microsnap.benchmarks.chart.Series;
import io.microsnap.benchmarks.chart.StripChart;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.Comparator;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Locale;
import java.util.Map;
import java.util.function.DoubleFunction;
import java.util.function.Function;
import java.util.function.ToDoubleFunction;
import java.util.stream.Stream;

/** The charts that a run has rows for. What a row was measured with is in its name. */
final class Charts {
    private static final int SIZE_WORD = 4;
    private static final int TOUCH_WORD = 5;

    private final Run run;

    Charts(Run run) {
        this.run = run;
    }

    /** Returns the charts by the names of their files. */
    Map<String, LineChart> lines() {
        Map<String, LineChart> charts = new LinkedHashMap<>();
        for (String cache : List.of("cold", "warm")) {
            put(charts, "restore-" + cache, restores(cache), shown -> timeChart(
                    "Restore until all is touched, " + cache, shown,
                    new AcrossOf("touched after the restore", Unit.BYTES::tick)));
        }
        put(charts, "capture", captures(), shown -> timeChart("Capture and pause by how much changed", shown,
                new AcrossOf("share of the guest that changed", share -> plain(share) + " %")));
        put(charts, "page-cache", siblings(), shown -> new LineChart("Page cache of guests from related snapshots",
                Axis.at("guests", across(shown), Charts::plain),
                Axis.overBytes("page cache of all guests together", up(shown), Unit.BYTES::tick), shown));
        return charts;
    }

    /** Returns the distribution of a family's pairs; the rows must have been measured. */
    static StripChart strips(String family, List<Row> rows) {
        List<StripChart.Strip> strips = new ArrayList<>();
        for (Row row : rows) {
            if (row.outcome() instanceof Outcome.Measured measured) {
                List<Double> ratios = measured.pairs().stream()
                        .map(pair -> (double) pair.ours() / Math.max(1, pair.peer())).toList();
                strips.add(new StripChart.Strip(row.name(), ratios,
                        Spread.of(ratios.stream().mapToDouble(Double::doubleValue)).median(),
                        row.target().timeBound(), switch (row.verdict()) {
                            case MISSED -> StripChart.Tone.MISSED;
                            case MET, CLOSE -> StripChart.Tone.MET;
                            default -> StripChart.Tone.NONE;
                        }));
            }
        }
        return new StripChart("Every pair of runs: " + family, strips);
    }

    private record AcrossOf(String title, DoubleFunction<String> label) {
    }

    private static LineChart timeChart(String title, List<Series> shown, AcrossOf across) {
        return new LineChart(title, Axis.at(across.title(), across(shown), across.label()),
                Axis.over("time", up(shown), Unit.NANOSECONDS::tick), shown);
    }

    private static void put(Map<String, LineChart> charts, String name, List<Series> series,
            Function<List<Series>, LineChart> chart) {
        List<Series> shown = series.stream().filter(one -> !one.values().isEmpty()).toList();
        if (!shown.isEmpty()) {
            charts.put(name, chart.apply(shown));
        }
    }

    /** Each engine of full snapshots, touched in runs; of the guest size that has most rows. */
    private List<Series> restores(String cache) {
        Map<String, List<Row>> bySize = new LinkedHashMap<>();
        run.rows().stream().filter(row -> row.outcome() instanceof Outcome.Measured
                        && words(row)[0].equals("restore") && words(row)[2].equals("full")
                        && words(row)[3].equals(cache)
                        && words(row)[TOUCH_WORD].endsWith("-runs"))
                .forEach(row -> bySize.merge(words(row)[SIZE_WORD], List.of(row), Charts::joined));
        List<Row> rows = bySize.values().stream().max(Comparator.comparingInt(List::size)).orElse(List.of());
        List<Series> series = new ArrayList<>();
        ToDoubleFunction<Row> touched = row -> bytes(words(row)[TOUCH_WORD].split("-", -1)[0]);
        rows.stream().map(row -> words(row)[1]).distinct().forEach(engine -> series.add(series(engine,
                rows.stream().filter(row -> words(row)[1].equals(engine)).toList(), touched, Outcome.Measured::ours)));
        series.add(reference("C, mapped",
                rows.stream().filter(row -> words(row)[1].equals("lazy")).toList(), touched));
        return series;
    }

    private List<Series> captures() {
        List<Row> rows = measured("share").toList();
        ToDoubleFunction<Row> share = row -> Double.parseDouble(words(row)[3].replace("%", ""));
        List<Series> series = new ArrayList<>();
        series.add(series("until durable", rows, share, Outcome.Measured::ours));
        series.add(series("pause", rows.stream().filter(row -> reading(row, "pause") > 0).toList(), share,
                measured -> {
                    double pause = (double) reading(measured, "pause");
                    return new Spread(pause, pause, pause);
                }));
        series.add(reference("C, durable", rows, share));
        return series;
    }

    private List<Series> siblings() {
        List<Series> series = new ArrayList<>();
        ToDoubleFunction<Row> count = row -> Double.parseDouble(words(row)[3]);
        List<Row> rows = measured("siblings").toList();
        rows.stream().map(row -> words(row)[1]).distinct().forEach(kind -> {
            List<Row> alike = rows.stream().filter(row -> words(row)[1].equals(kind)).toList();
            series.add(series(switch (kind) {
                case "same" -> "one snapshot";
                case "diffs" -> "diffs";
                default -> kind;
            }, alike, count, Outcome.Measured::ours));
        });
        if (!rows.isEmpty()) {
            String first = words(rows.getFirst())[1];
            series.add(reference("a copy each",
                    rows.stream().filter(row -> words(row)[1].equals(first)).toList(), count));
        }
        return series;
    }

    private static Series series(String name, List<Row> rows, ToDoubleFunction<Row> across,
            Function<Outcome.Measured, Spread> value) {
        return new Series(name, values(rows, across, value), false);
    }

    private static Series reference(String name, List<Row> rows, ToDoubleFunction<Row> across) {
        return new Series(name, values(rows, across, Outcome.Measured::peer), true);
    }

    private static List<Series.Value> values(List<Row> rows, ToDoubleFunction<Row> across,
            Function<Outcome.Measured, Spread> value) {
        List<Series.Value> values = new ArrayList<>();
        for (Row row : rows) {
            if (row.outcome() instanceof Outcome.Measured measured) {
                Spread spread = value.apply(measured);
                values.add(new Series.Value(
                        across.applyAsDouble(row), spread.low(), spread.median(), spread.high()));
            }
        }
        values.sort(Comparator.comparingDouble(Series.Value::x));
        return values;
    }

    private static List<Double> across(List<Series> series) {
        return series.stream().flatMap(one -> one.values().stream()).map(Series.Value::x).toList();
    }

    private static List<Double> up(List<Series> series) {
        return series.stream().flatMap(one -> one.values().stream())
                .flatMap(value -> Stream.of(value.low(), value.high())).map(value -> Math.max(1, value)).toList();
    }

    private Stream<Row> measured(String family) {
        return run.rows().stream()
                .filter(row -> row.family().equals(family) && row.outcome() instanceof Outcome.Measured);
    }

    private static long reading(Row row, String name) {
        return row.outcome() instanceof Outcome.Measured measured ? reading(measured, name) : 0;
    }

    private static long reading(Outcome.Measured measured, String name) {
        return measured.readings().stream().filter(reading -> reading.name().equals(name)).mapToLong(Reading::ours)
                .findFirst().orElse(0);
    }

    private static List<Row> joined(List<Row> some, List<Row> more) {
        return Stream.concat(some.stream(), more.stream()).toList();
    }

    /** Old files may hold rows with other names: what is missing is empty. */
    private static String[] words(Row row) {
        String[] words = row.name().split("/", -1);
        String[] enough = Arrays.copyOf(words, Math.max(words.length, TOUCH_WORD + 1));
        for (int word = words.length; word < enough.length; word++) {
            enough[word] = "";
        }
        return enough;
    }

    private static double bytes(String name) {
        long unit = name.endsWith("g") ? Sizes.GIB : Sizes.MIB;
        return Double.parseDouble(name.replaceAll("[^0-9.]", "")) * unit;
    }

    private static String plain(double value) {
        return value == Math.rint(value) ? String.format(Locale.ROOT, "%.0f", value)
                : String.format(Locale.ROOT, "%s", value);
    }
}
