package io.microsnap.benchmarks;

import java.util.List;

/** Every scenario there is. */
final class Scenarios {

    private Scenarios() {
    }

    static List<Scenario> all() {
        return List.of(
                new SmallWriteScenario(64L << 20));
    }
}
