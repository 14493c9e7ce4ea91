package io.microsnap.benchmarks;

import java.util.Locale;

/** Says what a measured number counts. */
public enum Unit {
    NANOSECONDS, BYTES, COUNT;

    private static final double KIBI = 1024;

    /** Writes a value for a person: three digits or so, with its unit. */
    String text(double value) {
        return switch (this) {
            case NANOSECONDS -> scaled(value, 1000, "ns", "µs", "ms", "s");
            case BYTES -> scaled(value, KIBI, "B", "KiB", "MiB", "GiB", "TiB");
            case COUNT -> String.format(Locale.ROOT, "%.0f", value);
        };
    }

    /** Writes a whole value for a person. */
    String text(long value) {
        return text((double) value);
    }

    /** Writes a round value for the tick of an axis: without decimals that say nothing. */
    String tick(double value) {
        return text(value).replaceFirst("\\.0+ ", " ").replaceFirst("(\\.[0-9]*[1-9])0+ ", "$1 ");
    }

    private static String scaled(double value, double step, String... units) {
        double left = value;
        int unit = 0;
        while (left >= step && unit < units.length - 1) {
            left /= step;
            unit++;
        }
        String format = unit == 0 || left >= 100 ? "%.0f %s" : left >= 10 ? "%.1f %s" : "%.2f %s";
        return String.format(Locale.ROOT, format, left, units[unit]);
    }
}
