package io.microsnap.benchmarks.chart;

import java.util.List;

/**
 * One line of a chart.
 *
 * @param reference whether it is a reference, drawn as a dashed line
 */
public record Series(String name, List<Value> values, boolean reference) {
    public Series {
        values = List.copyOf(values);
    }

    /** A measured value with the lowest and the highest of its runs. */
    public record Value(double x, double low, double median, double high) {
    }
}
