package io.microsnap.benchmarks.dirty;

import io.microsnap.benchmarks.scenario.Scenario;
import java.util.ArrayList;
import java.util.List;

/** Dirty bitmaps and what fills them. */
public final class DirtyScenarios {

    private DirtyScenarios() {
    }

    /** All of them. */
    public static List<Scenario> all() {
        List<Scenario> all = new ArrayList<>(BitmapScenario.all());
        all.add(new HarvestScenario(1L << 30, 5000));
        return all;
    }
}
