package io.microsnap.benchmarks.chart;

import io.microsnap.benchmarks.chart.Svg.Anchor;
import io.microsnap.benchmarks.chart.Svg.Point;
import java.util.ArrayList;
import java.util.Comparator;
import java.util.List;

/** Some series over a common axis, each named at its end and in a legend, with the spread of each value. */
public final class LineChart {
    private static final double WIDTH = 460;
    private static final double LEFT = 58;
    private static final double RIGHT = WIDTH - 104;
    private static final double TOP = 62;
    private static final double BOTTOM = 282;
    private static final double LABEL_DISTANCE = 14;
    private static final double LETTER = 6.6;
    private static final double LEGEND_ROW = 18;
    private static final int COLOURS = 6;

    private final String title;
    private final Axis across;
    private final Axis up;
    private final List<Series> series;

    /** Makes a chart of these series. */
    public LineChart(String title, Axis across, Axis up, List<Series> series) {
        this.title = title;
        this.across = across;
        this.up = up;
        this.series = List.copyOf(series);
    }

    /** Draws the chart for a page that has the styles. */
    public String drawn() {
        return drawn("");
    }

    /** Draws the chart as a separate image. */
    public String standalone() {
        return drawn(ChartStyle.standalone());
    }

    private String drawn(String style) {
        Svg svg = new Svg();
        svg.text("title", Anchor.START, new Point(8, 20), title);
        svg.text("soft", Anchor.START, new Point(8, 42), "↑ " + up.title());
        axes(svg);
        for (int number = 0; number < series.size(); number++) {
            line(svg, number);
        }
        endLabels(svg);
        double bottom = legend(svg, BOTTOM + 58);
        return svg.drawing(title, WIDTH, bottom + 8, style);
    }

    private void axes(Svg svg) {
        for (double tick : up.ticks()) {
            double y = y(tick);
            svg.line("grid", new Point(LEFT, y), new Point(RIGHT, y));
            svg.text("soft", Anchor.END, new Point(LEFT - 7, y + 4), up.label().apply(tick));
        }
        svg.line("axis", new Point(LEFT, BOTTOM), new Point(RIGHT, BOTTOM));
        for (double tick : across.ticks()) {
            double x = x(tick);
            svg.line("axis", new Point(x, BOTTOM), new Point(x, BOTTOM + 5));
            svg.text("soft", Anchor.MIDDLE, new Point(x, BOTTOM + 18), across.label().apply(tick));
        }
        svg.text("soft", Anchor.MIDDLE, new Point((LEFT + RIGHT) / 2, BOTTOM + 37), across.title() + " →");
    }

    private void line(Svg svg, int number) {
        Series one = series.get(number);
        String stroke = "k" + colour(number);
        svg.path("line " + stroke + (one.reference() ? " reference" : ""),
                one.values().stream().map(value -> new Point(x(value.x()), y(value.median()))).toList());
        for (Series.Value value : one.values()) {
            svg.line("spread " + stroke, new Point(x(value.x()), y(value.low())),
                    new Point(x(value.x()), y(value.high())));
            svg.mark("f" + colour(number), number, new Point(x(value.x()), y(value.median())));
        }
    }

    /**
     * Draws the labels at the lines' ends. Labels of lines that end close together move apart; a thin line then leads
     * to each.
     */
    private void endLabels(Svg svg) {
        List<Integer> order = new ArrayList<>();
        for (int number = 0; number < series.size(); number++) {
            if (!series.get(number).values().isEmpty()) {
                order.add(number);
            }
        }
        order.sort(Comparator.comparingDouble(number -> end(number).y()));
        double[] places = order.stream().mapToDouble(number -> end(number).y()).toArray();
        for (int place = 1; place < places.length; place++) {
            places[place] = Math.max(places[place], places[place - 1] + LABEL_DISTANCE);
        }
        for (int place = places.length - 1; place >= 0; place--) {
            double most = BOTTOM - LABEL_DISTANCE * (places.length - 1 - place) - 4;
            places[place] = Math.min(places[place], most);
        }
        for (int place = 0; place < places.length; place++) {
            int number = order.get(place);
            Point end = end(number);
            svg.line("leader", new Point(end.x() + 6, end.y()), new Point(RIGHT + 8, places[place]));
            svg.text("label f" + colour(number), Anchor.START, new Point(RIGHT + 11, places[place] + 4),
                    series.get(number).name());
        }
    }

    private Point end(int number) {
        Series.Value last = series.get(number).values().getLast();
        return new Point(x(last.x()), y(last.median()));
    }

    private double legend(Svg svg, double top) {
        double x = 12;
        double y = top;
        for (int number = 0; number < series.size(); number++) {
            Series one = series.get(number);
            double width = 38 + one.name().length() * LETTER;
            if (x + width > WIDTH - 8) {
                x = 12;
                y += LEGEND_ROW;
            }
            svg.line("line k" + colour(number) + (one.reference() ? " reference" : ""), new Point(x, y),
                    new Point(x + 20, y));
            svg.mark("f" + colour(number), number, new Point(x + 10, y));
            svg.text("", Anchor.START, new Point(x + 25, y + 4), one.name());
            x += width;
        }
        svg.text("soft", Anchor.START, new Point(12, y + LEGEND_ROW + 4),
                "Marks are medians; the line through each spans all runs.");
        return y + LEGEND_ROW + 4;
    }

    /** Returns the number of a line's colour; a reference line has none. */
    private String colour(int number) {
        return series.get(number).reference() ? "r" : Integer.toString(number % COLOURS);
    }

    private double x(double value) {
        return LEFT + 8 + across.share(value) * (RIGHT - LEFT - 16);
    }

    private double y(double value) {
        return BOTTOM - 4 - up.share(value) * (BOTTOM - TOP - 4);
    }
}
