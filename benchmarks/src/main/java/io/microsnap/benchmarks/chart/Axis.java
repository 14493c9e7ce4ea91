package io.microsnap.benchmarks.chart;

import java.util.ArrayList;
import java.util.List;
import java.util.function.DoubleFunction;

/**
 * A logarithmic axis: what is charted spans orders of magnitude.
 *
 * @param low the least value shown, more than zero
 * @param high the greatest
 * @param ticks where the axis is labelled
 * @param label writes a tick, with its unit
 */
public record Axis(String title, double low, double high, List<Double> ticks, DoubleFunction<String> label) {
    private static final double FEW = 2.2;
    private static final double FEW_BINARY = 64;
    private static final double MARGIN = 1.25;
    private static final double MORE_THAN_THIS_SHOWN = 3;

    public Axis {
        ticks = List.copyOf(ticks);
    }

    /** An axis over these values, with a tick at each power of ten, and between them where those would be few. */
    public static Axis over(String title, List<Double> values, DoubleFunction<String> label) {
        double low = low(values);
        double high = high(values);
        double[] between = Math.log10(high / low) < FEW ? new double[] {1, 2, 5} : new double[] {1};
        List<Double> ticks = new ArrayList<>();
        for (double power = Math.pow(10, Math.floor(Math.log10(low))); power <= high; power *= 10) {
            for (double part : between) {
                if (power * part >= low && power * part <= high) {
                    ticks.add(power * part);
                }
            }
        }
        return new Axis(title, low, high, ticks, label);
    }

    /** As {@link #over}, for bytes: a tick at powers of two, or of four where those would be many. */
    public static Axis overBytes(String title, List<Double> values, DoubleFunction<String> label) {
        double low = low(values);
        double high = high(values);
        double step = high / low < FEW_BINARY ? 2 : 4;
        List<Double> ticks = new ArrayList<>();
        for (double power = 1; power <= high; power *= step) {
            if (power >= low) {
                ticks.add(power);
            }
        }
        return new Axis(title, low, high, ticks, label);
    }

    /** An axis with a tick at each of a few values. */
    public static Axis at(String title, List<Double> values, DoubleFunction<String> label) {
        List<Double> ticks = values.stream().distinct().sorted().toList();
        double margin = ticks.size() == 1 ? 2 : MARGIN;
        return new Axis(title, ticks.getFirst() / margin, ticks.getLast() * margin, ticks, label);
    }

    /** Says how far along the axis a value lies, from 0 to 1. */
    double share(double value) {
        double within = Math.min(high, Math.max(low, value));
        return Math.log(within / low) / Math.log(high / low);
    }

    private static double low(List<Double> values) {
        double low = values.stream().mapToDouble(Double::doubleValue).min().orElse(1);
        return wide(values) ? low / MARGIN : low / MARGIN / 2;
    }

    private static double high(List<Double> values) {
        double high = values.stream().mapToDouble(Double::doubleValue).max().orElse(1);
        return wide(values) ? high * MARGIN : high * MARGIN * 2;
    }

    private static boolean wide(List<Double> values) {
        double low = values.stream().mapToDouble(Double::doubleValue).min().orElse(1);
        double high = values.stream().mapToDouble(Double::doubleValue).max().orElse(1);
        return high / low >= MORE_THAN_THIS_SHOWN;
    }
}
