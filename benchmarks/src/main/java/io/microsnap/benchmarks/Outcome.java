package io.microsnap.benchmarks;

import java.util.List;
import java.util.function.ToDoubleFunction;

/** What came of running a scenario. */
public sealed interface Outcome {

    /** Which. */
    Scenario scenario();

    /** Both sides, one after the other, in nanoseconds. */
    record Pair(long ours, long peer) {
    }

    /** Measured: every pair of runs, in the order they were made. */
    record Measured(Scenario scenario, List<Pair> pairs) implements Outcome {

        /** Our median time. */
        double ours() {
            return median(sorted(Pair::ours));
        }

        /** Our longest time. */
        double longest() {
            return sorted(Pair::ours)[pairs.size() - 1];
        }

        /** The peer's median time. */
        double peer() {
            return median(sorted(Pair::peer));
        }

        /** The median of the pairs' ratios, in the target's terms: what drifts over a run cancels within a pair. */
        double ratio() {
            return median(ratios());
        }

        double lowestRatio() {
            return ratios()[0];
        }

        double highestRatio() {
            return ratios()[pairs.size() - 1];
        }

        Target.Verdict verdict() {
            return scenario.target().judge(ratio());
        }

        private double[] ratios() {
            return sorted(pair -> scenario.target().ratio(pair.ours(), pair.peer()));
        }

        private double[] sorted(ToDoubleFunction<Pair> value) {
            return pairs.stream().mapToDouble(value).sorted().toArray();
        }

        private static double median(double[] sorted) {
            int middle = sorted.length / 2;
            return sorted.length % 2 == 1 ? sorted[middle] : (sorted[middle - 1] + sorted[middle]) / 2;
        }
    }

    /** Not on this machine. */
    record Skipped(Scenario scenario, String reason) implements Outcome {
    }

    /** It broke, or both sides did not do the same job. */
    record Failed(Scenario scenario, Exception cause) implements Outcome {
    }
}
