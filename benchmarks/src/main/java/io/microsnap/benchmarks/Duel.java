package io.microsnap.benchmarks;

/**
 * Both sides of a scenario.
 *
 * @param check throws unless both did the same job; called after every pair of runs
 * @param warmUp brings this JVM into the state of one that runs for long; called after the first pair
 * @param readings what both sides tell beside their time
 */
public record Duel(Contestant ours, Contestant peer, Action check, Action warmUp, Readings readings) {

    /** Something done; what cannot be done throws. */
    @FunctionalInterface
    public interface Action {

        /** Does it. */
        void run() throws Exception;
    }

    /** A duel that needs no warm-up beyond its own runs and tells nothing but its time. */
    public Duel(Contestant ours, Contestant peer, Action check) {
        this(ours, peer, check, () -> { }, new Readings());
    }

    /** Returns the same duel with a warm-up. */
    public Duel warmedBy(Action action) {
        return new Duel(ours, peer, check, action, readings);
    }
}
