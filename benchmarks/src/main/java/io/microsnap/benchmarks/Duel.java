package io.microsnap.benchmarks;

/** Both sides of a scenario, and the check that they did the same job, made after every pair of runs. */
public record Duel(Contestant ours, Contestant peer, Action check) {

    /** Something done, or not done and said so. */
    @FunctionalInterface
    public interface Action {

        /** Does it. */
        void run() throws Exception;
    }
}
