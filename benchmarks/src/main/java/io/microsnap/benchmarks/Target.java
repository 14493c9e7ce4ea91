package io.microsnap.benchmarks;

import java.util.Locale;

/** What a scenario means to reach, relative to its peer in the same run. */
public sealed interface Target {

    /** A ratio this close beyond the bound counts as met: the machine is no steadier than that. */
    double TOLERANCE = 0.05;

    /** How the measured ratio stands to it. */
    enum Verdict {
        MET,
        /** Beyond the bound, by less than the tolerance. */
        CLOSE,
        MISSED,
        /** No target: for information. */
        REPORTED
    }

    /** Our time, as a multiple of the peer's, is at most this. */
    record TimeAtMost(double bound) implements Target {

        @Override
        public double ratio(long ours, long peer) {
            return (double) ours / peer;
        }

        @Override
        public Verdict judge(double ratio) {
            return ratio <= bound ? Verdict.MET : ratio <= bound * (1 + TOLERANCE) ? Verdict.CLOSE : Verdict.MISSED;
        }

        @Override
        public String toString() {
            return String.format(Locale.ROOT, "time ≤ %.2f ×", bound);
        }
    }

    /** Our speed, as a multiple of the peer's, is at least this. */
    record SpeedAtLeast(double bound) implements Target {

        @Override
        public double ratio(long ours, long peer) {
            return (double) peer / ours;
        }

        @Override
        public Verdict judge(double ratio) {
            return ratio >= bound ? Verdict.MET : ratio >= bound * (1 - TOLERANCE) ? Verdict.CLOSE : Verdict.MISSED;
        }

        @Override
        public String toString() {
            return String.format(Locale.ROOT, "speed ≥ %.2f ×", bound);
        }
    }

    /** The peer is there to compare with, not to beat. */
    record None() implements Target {

        @Override
        public double ratio(long ours, long peer) {
            return (double) ours / peer;
        }

        @Override
        public Verdict judge(double ratio) {
            return Verdict.REPORTED;
        }

        @Override
        public String toString() {
            return "none";
        }
    }

    /**
     * Writes this for a file: {@code time 1.15}, {@code speed 3.00} or {@code none}; {@link #parse} reads it again.
     */
    default String code() {
        return switch (this) {
            case TimeAtMost time -> String.format(Locale.ROOT, "time %.4f", time.bound());
            case SpeedAtLeast speed -> String.format(Locale.ROOT, "speed %.4f", speed.bound());
            case None none -> "none";
        };
    }

    /** Reads what {@link #code} wrote. */
    static Target parse(String code) {
        if (code.equals("none")) {
            return none();
        }
        String[] words = code.split(" ", -1);
        if (words.length != 2 || !words[1].matches("[0-9]{1,6}\\.[0-9]{4}")) {
            throw new IllegalArgumentException("this is no target");
        }
        double bound = Double.parseDouble(words[1]);
        return switch (words[0]) {
            case "time" -> timeAtMost(bound);
            case "speed" -> speedAtLeast(bound);
            default -> throw new IllegalArgumentException("this is no target");
        };
    }

    /** The most that our time may be, as a multiple of the peer's; infinite where there is no target. */
    default double timeBound() {
        return switch (this) {
            case TimeAtMost time -> time.bound();
            case SpeedAtLeast speed -> 1 / speed.bound();
            case None none -> Double.POSITIVE_INFINITY;
        };
    }

    /** The ratio this target speaks of, from both times. */
    double ratio(long ours, long peer);

    /** Whether a ratio reaches it. */
    Verdict judge(double ratio);

    /** Our time is at most {@code bound} times the peer's. */
    static Target timeAtMost(double bound) {
        return new TimeAtMost(bound);
    }

    /** We are at least {@code bound} times as fast as the peer. */
    static Target speedAtLeast(double bound) {
        return new SpeedAtLeast(bound);
    }

    /** Measured beside the peer, without a target. */
    static Target none() {
        return new None();
    }
}
