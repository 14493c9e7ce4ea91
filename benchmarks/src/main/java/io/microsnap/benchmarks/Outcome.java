package io.microsnap.benchmarks;

import java.util.List;

/** What came of running a scenario. */
sealed interface Outcome {

    /** Both sides, one after the other, in the row's unit. */
    record Pair(long ours, long peer) {
    }

    /**
     * Every run, and both outputs were the same after each.
     *
     * @param first the first pair in the JVM, before anything is compiled
     * @param pairs the pairs in steady state, in the order they were made
     * @param readings what else was measured
     */
    record Measured(Pair first, List<Pair> pairs, List<Reading> readings) implements Outcome {
        /** A first run this much away from the median is worth a line. */
        private static final double WORTH_TELLING = 0.10;

        public Measured {
            pairs = List.copyOf(pairs);
            readings = List.copyOf(readings);
        }

        Spread ours() {
            return Spread.of(pairs.stream().mapToDouble(Pair::ours));
        }

        Spread peer() {
            return Spread.of(pairs.stream().mapToDouble(Pair::peer));
        }

        /** The pairs' ratios, in the target's terms: what drifts over a run cancels within a pair. */
        Spread ratio(Target target) {
            return Spread.of(pairs.stream().mapToDouble(pair -> target.ratio(pair.ours(), pair.peer())));
        }

        /** Whether the first run in the JVM took another time than those in steady state. */
        boolean firstDiffers() {
            Spread ours = ours();
            return Math.abs(first.ours() - ours.median()) > WORTH_TELLING * ours.median()
                    && (first.ours() < ours.low() || first.ours() > ours.high());
        }
    }

    /** This machine lacks what the scenario needs. */
    record LeftOut(String reason) implements Outcome {
    }

    /** It broke, or both sides did not do the same job: no time is kept. */
    record Failed(String reason) implements Outcome {
    }
}
