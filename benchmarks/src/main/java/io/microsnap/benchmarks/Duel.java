package io.microsnap.benchmarks;

import java.util.Optional;

/**
 * Both sides of a scenario.
 *
 * @param check throws unless both did the same job; called after every pair of runs
 * @param warmUp warms this JVM up, as if it had run for long; called after the first pair. Without one the second pair
 *     does that, and is not kept
 * @param readings the values that both sides report in addition to their time
 */
public record Duel(Contestant ours, Contestant peer, Action check, Optional<Action> warmUp, Readings readings) {

    /** An action; it throws if it fails. */
    @FunctionalInterface
    public interface Action {

        /** Performs the action. */
        void run() throws Exception;
    }

    /** Makes a duel that its own runs warm up and that reports only its time. */
    public Duel(Contestant ours, Contestant peer, Action check) {
        this(ours, peer, check, new Readings());
    }

    /** Makes a duel that its own runs warm up. */
    Duel(Contestant ours, Contestant peer, Action check, Readings readings) {
        this(ours, peer, check, Optional.empty(), readings);
    }

    /** Returns the same duel with a warm-up. */
    public Duel warmedBy(Action action) {
        return new Duel(ours, peer, check, Optional.of(action), readings);
    }
}
