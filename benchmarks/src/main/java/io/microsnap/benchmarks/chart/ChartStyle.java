package io.microsnap.benchmarks.chart;

/** The colours and sizes of all charts, in light and dark. The colours are told apart by the colour-blind, too. */
public final class ChartStyle {
    /** What a page defines for the charts in it. */
    public static final String COLOURS = """
            :root { color-scheme: light dark; --paper: #ffffff; --card: #f6f8fa; --ink: #1c2127; --soft: #59636e;
              --grid: #dde2e8; --s0: #0067a5; --s1: #c4500a; --s2: #007a5a; --s3: #a0498c; --s4: #806600; --s5: #444d56;
              --good: #0067a5; --bad: #c4500a; }
            @media (prefers-color-scheme: dark) { :root { --paper: #14181d; --card: #1c2229; --ink: #e8ecf0;
              --soft: #a3adb8; --grid: #333b45; --s0: #62b8ee; --s1: #ff9e5e; --s2: #3ecfa3; --s3: #e6a4d2;
              --s4: #e6cf4d; --s5: #c3cbd3; --good: #62b8ee; --bad: #ff9e5e; } }
            """;
    /** How the parts of a chart look. */
    public static final String CHART = """
            .chart text { font: 11px system-ui, -apple-system, "Segoe UI", Roboto, "Liberation Sans", sans-serif;
              fill: var(--ink); }
            .chart text.title { font-size: 14px; font-weight: 600; }
            .chart text.soft { fill: var(--soft); }
            .chart .grid { stroke: var(--grid); stroke-width: 1; }
            .chart .axis { stroke: var(--soft); stroke-width: 1; }
            .chart .leader { stroke: var(--soft); stroke-width: 0.6; }
            .chart .line { fill: none; stroke-width: 2; stroke-linejoin: round; }
            .chart .spread { stroke-width: 1.4; }
            .chart .reference { stroke-dasharray: 5 4; }
            .chart .k0 { stroke: var(--s0); } .chart .k1 { stroke: var(--s1); } .chart .k2 { stroke: var(--s2); }
            .chart .k3 { stroke: var(--s3); } .chart .k4 { stroke: var(--s4); } .chart .k5 { stroke: var(--s5); }
            .chart .f0 { fill: var(--s0); } .chart .f1 { fill: var(--s1); } .chart .f2 { fill: var(--s2); }
            .chart .f3 { fill: var(--s3); } .chart .f4 { fill: var(--s4); } .chart .f5 { fill: var(--s5); }
            .chart .kr { stroke: var(--soft); } .chart .fr { fill: var(--soft); }
            .chart .met { fill: var(--good); fill-opacity: 0.75; } .chart .missed { fill: var(--bad); }
            .chart .none { fill: var(--soft); fill-opacity: 0.75; }
            .chart .median { stroke: var(--ink); stroke-width: 2; }
            .chart text.halo { paint-order: stroke; stroke: var(--paper); stroke-width: 4px; }
            .chart .bound { fill: none; stroke: var(--ink); stroke-width: 1.3; }
            """;

    private ChartStyle() {
    }

    /** Returns what a chart needs that stands by itself, as an image. */
    static String standalone() {
        return COLOURS.replace(":root", "svg") + "svg { background: var(--paper); }" + CHART;
    }
}
