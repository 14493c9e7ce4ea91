package io.microsnap.benchmarks.chart;

import io.microsnap.benchmarks.chart.Svg.Anchor;
import io.microsnap.benchmarks.chart.Svg.Point;
import java.util.ArrayList;
import java.util.List;
import java.util.Locale;

/** Every pair of runs of some rows as a dot: how far apart they are, and on which side of the peer and the target. */
public final class StripChart {
    private static final double WIDTH = 460;
    private static final double LEFT = 14;
    private static final double RIGHT = WIDTH - 14;
    private static final double TOP = 84;
    private static final double ROW = 34;
    private static final double MOST = 50;
    private static final int LONGEST_NAME = 56;

    private final String title;
    private final List<Strip> strips;

    /** Which colour a row's dots have. */
    public enum Tone {
        MET, MISSED, NONE
    }

    /**
     * The dots of one row.
     *
     * @param ratios our value as a multiple of the peer's, for each pair
     * @param bound the most that is meant; infinite where there is no target
     */
    public record Strip(String name, List<Double> ratios, double median, double bound, Tone tone) {
        public Strip {
            ratios = List.copyOf(ratios);
        }
    }

    /** A chart of these rows. */
    public StripChart(String title, List<Strip> strips) {
        this.title = title;
        this.strips = List.copyOf(strips);
    }

    /** Draws it for a page that has the styles. */
    public String drawn() {
        List<Double> values = new ArrayList<>(List.of(1.0));
        for (Strip strip : strips) {
            strip.ratios().forEach(ratio -> values.add(within(ratio)));
            if (Double.isFinite(strip.bound())) {
                values.add(within(strip.bound()));
            }
        }
        Axis across = Axis.over("ours as a multiple of the peer's", values,
                tick -> plain(tick) + " ×");
        Svg svg = new Svg();
        double bottom = TOP + strips.size() * ROW;
        svg.text("title", Anchor.START, new Point(8, 20), title);
        legend(svg);
        for (double tick : across.ticks()) {
            double x = x(across, tick);
            svg.line(Math.abs(tick - 1) < 1e-9 ? "axis" : "grid", new Point(x, TOP), new Point(x, bottom));
            svg.text("soft", Anchor.MIDDLE, new Point(x, TOP - 6), across.label().apply(tick));
            svg.text("soft", Anchor.MIDDLE, new Point(x, bottom + 14), across.label().apply(tick));
        }
        svg.text("soft", Anchor.MIDDLE, new Point(WIDTH / 2, bottom + 32), "← better    " + across.title()
                + "    worse →");
        for (int number = 0; number < strips.size(); number++) {
            strip(svg, across, strips.get(number), TOP + number * ROW);
        }
        return svg.drawing(title, WIDTH, bottom + 42, "");
    }

    private static void legend(Svg svg) {
        double y = 42;
        svg.mark("met", 0, new Point(16, y));
        svg.text("soft", Anchor.START, new Point(25, y + 4), "target met");
        svg.mark("missed", 3, new Point(102, y));
        svg.text("soft", Anchor.START, new Point(111, y + 4), "missed");
        svg.mark("none", 0, new Point(170, y));
        svg.text("soft", Anchor.START, new Point(179, y + 4), "no target");
        svg.line("median", new Point(250, y - 6), new Point(250, y + 6));
        svg.text("soft", Anchor.START, new Point(257, y + 4), "median");
        bound(svg, new Point(316, y));
        svg.text("soft", Anchor.START, new Point(326, y + 4), "most that is meant");
    }

    private static void strip(Svg svg, Axis across, Strip strip, double top) {
        double y = top + 25;
        svg.line("grid", new Point(LEFT, y), new Point(RIGHT, y));
        String name = strip.name().length() <= LONGEST_NAME ? strip.name()
                : strip.name().substring(0, LONGEST_NAME - 1) + "…";
        svg.text("halo", Anchor.START, new Point(LEFT, top + 14), name);
        svg.text("halo", Anchor.END, new Point(RIGHT, top + 14), String.format(Locale.ROOT, "%.2f ×", strip.median()));
        if (Double.isFinite(strip.bound())) {
            bound(svg, new Point(x(across, within(strip.bound())), y));
        }
        for (double ratio : strip.ratios()) {
            svg.mark(strip.tone().name().toLowerCase(Locale.ROOT), strip.tone() == Tone.MISSED ? 3 : 0,
                    new Point(x(across, within(ratio)), y));
        }
        double median = x(across, within(strip.median()));
        svg.line("median", new Point(median, y - 6), new Point(median, y + 6));
    }

    /** A bracket that is open to the side where all is well. */
    private static void bound(Svg svg, Point at) {
        svg.placed("bound", at, "M-5 -6H0V6H-5");
    }

    private static double x(Axis across, double value) {
        return LEFT + 12 + across.share(value) * (RIGHT - LEFT - 24);
    }

    /** Beyond these, a dot stands at the border. */
    private static double within(double ratio) {
        return Math.min(MOST, Math.max(1 / MOST, ratio));
    }

    private static String plain(double tick) {
        if (tick >= 1) {
            return String.format(Locale.ROOT, "%.0f", tick);
        }
        return tick < 0.095 ? String.format(Locale.ROOT, "%.2f", tick) : String.format(Locale.ROOT, "%.1f", tick);
    }
}
