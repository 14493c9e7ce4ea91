package io.microsnap.benchmarks;

import java.util.stream.DoubleStream;

/** The median of some measured values, with the lowest and the highest of them. */
record Spread(double low, double median, double high) {

    static Spread of(DoubleStream values) {
        double[] sorted = values.sorted().toArray();
        if (sorted.length == 0) {
            throw new IllegalArgumentException("no values");
        }
        int middle = sorted.length / 2;
        double median = sorted.length % 2 == 1 ? sorted[middle] : (sorted[middle - 1] + sorted[middle]) / 2;
        return new Spread(sorted[0], median, sorted[sorted.length - 1]);
    }

    double width() {
        return high - low;
    }

    /** The larger of both distances from the median, as a share of it. */
    double relative() {
        return median == 0 ? 0 : Math.max(high - median, median - low) / median;
    }
}
