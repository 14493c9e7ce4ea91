package io.microsnap.benchmarks;

import java.util.ArrayList;
import java.util.List;

/** Every scenario there is. */
final class Scenarios {

    private Scenarios() {
    }

    static List<Scenario> all() {
        List<Scenario> all = new ArrayList<>();
        all.add(new SmallWriteScenario(64L << 20));
        all.addAll(PageScenario.all());
        return List.copyOf(all);
    }
}
