package io.microsnap.benchmarks;

import java.io.IOException;
import java.nio.charset.StandardCharsets;

/** One side of a {@link Duel}. */
@FunctionalInterface
public interface Contestant {

    /** Does the job once and says how many nanoseconds it took, without what had to be prepared for it. */
    long run() throws Exception;

    /** Java code: first what is not timed, then what is. */
    static Contestant java(Duel.Action prepare, Duel.Action job) {
        return () -> {
            prepare.run();
            long start = System.nanoTime();
            job.run();
            return System.nanoTime() - start;
        };
    }

    /** A tool as its users run it, its start included. */
    static Contestant command(Duel.Action prepare, String... command) {
        return java(prepare, () -> {
            Process process = Tethered.start(command);
            String said = new String(process.getInputStream().readAllBytes(), StandardCharsets.UTF_8);
            int status = process.waitFor();
            if (status != 0) {
                throw new IOException(String.join(" ", command) + " ended with status " + status + ": " + said);
            }
        });
    }
}
