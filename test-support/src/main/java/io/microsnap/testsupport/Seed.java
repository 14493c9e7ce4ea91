package io.microsnap.testsupport;

import java.util.SplittableRandom;

/**
 * The seed of a test's random choices; a test takes it as a parameter. New in every run, so that runs explore; a
 * failure names it, and {@code -Dmicrosnap.seed=VALUE} repeats it.
 */
public record Seed(long value) {

    static final String PROPERTY = "microsnap.seed";

    /** The one asked for, else a new one. */
    static Seed choose() {
        Long asked = Long.getLong(PROPERTY);
        return new Seed(asked == null ? new SplittableRandom().nextLong() : asked);
    }

    /** The same sequence every time for the same seed. */
    public SplittableRandom random() {
        return new SplittableRandom(value);
    }

    /** How to repeat this. */
    @Override
    public String toString() {
        return "seed " + value + " (repeat with -D" + PROPERTY + "=" + value + ")";
    }
}
