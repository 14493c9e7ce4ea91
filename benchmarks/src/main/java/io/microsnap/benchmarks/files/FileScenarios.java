package io.microsnap.benchmarks.files;

import io.microsnap.benchmarks.scenario.Scenario;
import java.util.ArrayList;
import java.util.List;

/** System calls, page primitives, copies, extents. */
public final class FileScenarios {

    private FileScenarios() {
    }

    /** All of them. */
    public static List<Scenario> all() {
        List<Scenario> all = new ArrayList<>();
        all.add(new SmallWriteScenario(64L << 20));
        all.addAll(PageScenario.all());
        all.addAll(SparseCopyScenario.all());
        all.addAll(DenseCopyScenario.all());
        all.addAll(ExtentScanScenario.all());
        return all;
    }
}
