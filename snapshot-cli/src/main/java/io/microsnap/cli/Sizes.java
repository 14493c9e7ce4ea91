package io.microsnap.cli;

import java.time.Duration;
import java.util.Locale;

/** Formats and parses sizes and times for people. */
final class Sizes {
    private static final String[] UNITS = {"B", "KiB", "MiB", "GiB", "TiB"};
    private static final int STEP = 1024;

    private Sizes() {
    }

    /** Formats three figures and a binary unit: {@code 1.50 GiB}. */
    static String bytes(long bytes) {
        double value = bytes;
        int unit = 0;
        while (value >= 999.5 && unit < UNITS.length - 1) {
            value /= STEP;
            unit++;
        }
        return unit == 0 ? bytes + " B" : figures(value) + " " + UNITS[unit];
    }

    /** Formats three figures and a unit: {@code 12.3 ms}. */
    static String time(Duration duration) {
        double seconds = duration.toNanos() / 1e9;
        if (seconds < 0.9995e-3) {
            return figures(seconds * 1e6) + " us";
        }
        return seconds < 0.9995 ? figures(seconds * 1e3) + " ms" : figures(seconds) + " s";
    }

    /** Reads {@code 512M}, {@code 4GiB}, {@code 65536}; binary units. */
    static long parseBytes(String text) {
        String upper = text.strip().toUpperCase(Locale.ROOT);
        int digits = 0;
        while (digits < upper.length() && Character.digit(upper.charAt(digits), 10) >= 0) {
            digits++;
        }
        String unit = upper.substring(digits).strip();
        int power = switch (unit) {
            case "", "B" -> 0;
            case "K", "KIB" -> 1;
            case "M", "MIB" -> 2;
            case "G", "GIB" -> 3;
            case "T", "TIB" -> 4;
            default -> -1;
        };
        try {
            if (power >= 0 && digits > 0) {
                return Math.multiplyExact(Long.parseLong(upper.substring(0, digits)), 1L << (10 * power));
            }
        } catch (NumberFormatException | ArithmeticException tooLarge) {
            throw new IllegalArgumentException("'" + text + "' is too large a size", tooLarge);
        }
        throw new IllegalArgumentException("'" + text + "' is not a size: give a whole number, with K, M, G or T if"
                + " needed");
    }

    private static String figures(double value) {
        int decimals = value < 9.995 ? 2 : value < 99.95 ? 1 : 0;
        return String.format(Locale.ROOT, "%." + decimals + "f", value);
    }
}
