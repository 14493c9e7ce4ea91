package io.microsnap.benchmarks.chart;

import java.util.Locale;

/** Writes SVG elements. Numbers have one decimal: a tenth of a pixel is less than anybody sees. */
final class Svg {
    private final StringBuilder text = new StringBuilder();

    /** Where a text ends up relative to its place. */
    enum Anchor {
        START, MIDDLE, END;

        String word() {
            return name().toLowerCase(Locale.ROOT);
        }
    }

    /** A place in the drawing. */
    record Point(double x, double y) {
    }

    void line(String style, Point from, Point to) {
        add("<line class=\"%s\" x1=\"%s\" y1=\"%s\" x2=\"%s\" y2=\"%s\"/>".formatted(style, number(from.x),
                number(from.y), number(to.x), number(to.y)));
    }

    void path(String style, Iterable<Point> points) {
        StringBuilder way = new StringBuilder();
        for (Point point : points) {
            way.append(way.isEmpty() ? 'M' : 'L').append(number(point.x)).append(' ').append(number(point.y));
        }
        add("<path class=\"%s\" d=\"%s\"/>".formatted(style, way));
    }

    /** A mark of one of six shapes, so that series differ without their colours. */
    void mark(String style, int shape, Point at) {
        String x = number(at.x);
        String y = number(at.y);
        switch (shape % 6) {
            case 0 -> add("<circle class=\"%s\" cx=\"%s\" cy=\"%s\" r=\"3.6\"/>".formatted(style, x, y));
            case 1 -> placed(style, at, "M-3.4 -3.4H3.4V3.4H-3.4Z");
            case 2 -> placed(style, at, "M0 -4.4L4.2 3.2H-4.2Z");
            case 3 -> placed(style, at, "M0 -4.8L4.8 0L0 4.8L-4.8 0Z");
            case 4 -> placed(style, at, "M0 4.4L4.2 -3.2H-4.2Z");
            default -> placed(style, at, "M-1.5 -4.5H1.5V-1.5H4.5V1.5H1.5V4.5H-1.5V1.5H-4.5V-1.5H-1.5Z");
        }
    }

    /** A path drawn around a place. */
    void placed(String style, Point at, String path) {
        add("<path class=\"%s\" transform=\"translate(%s %s)\" d=\"%s\"/>"
                .formatted(style, number(at.x), number(at.y), path));
    }

    void text(String style, Anchor anchor, Point at, String words) {
        add("<text class=\"%s\" text-anchor=\"%s\" x=\"%s\" y=\"%s\">%s</text>"
                .formatted(style, anchor.word(), number(at.x), number(at.y), escaped(words)));
    }

    /** Returns the whole drawing; its title is for readers who cannot see it. */
    String drawing(String title, double width, double height, String style) {
        return String.format(Locale.ROOT, "<svg xmlns=\"http://www.w3.org/2000/svg\" class=\"chart\" role=\"img\""
                + " aria-label=\"%s\" viewBox=\"0 0 %s %s\">%s%n%s</svg>%n", escaped(title), number(width),
                number(height), style.isEmpty() ? "" : "<style>" + style + "</style>", text);
    }

    static String escaped(String words) {
        return words.replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;").replace("\"", "&quot;");
    }

    private void add(String element) {
        text.append(element).append('\n');
    }

    private static String number(double value) {
        String written = String.format(Locale.ROOT, "%.1f", value);
        return written.endsWith(".0") ? written.substring(0, written.length() - 2) : written;
    }
}
