package io.microsnap.benchmarks.dedup;

import io.microsnap.benchmarks.scenario.Scenario;
import io.microsnap.dedup.Engine;
import io.microsnap.testsupport.FileSystemKind;
import java.util.ArrayList;
import java.util.List;

/** Sharing with a sibling: finding it, comparing, sharing, reading afterwards. */
public final class DedupScenarios {

    private DedupScenarios() {
    }

    /** All of them. */
    public static List<Scenario> all() {
        List<Scenario> all = new ArrayList<>();
        for (Engine engine : Engine.values()) {
            for (int gibibytes = 1; gibibytes <= 2; gibibytes++) {
                all.add(new DedupScenario(FileSystemKind.XFS, gibibytes, engine, 3));
                all.add(new DedupScenario(FileSystemKind.BTRFS, gibibytes, engine, 2));
            }
        }
        all.add(new DedupCompareScenario(1));
        all.add(new DedupCompareScenario(2));
        all.add(new SiblingChoiceScenario());
        for (ReadAfterDedupScenario.Use use : ReadAfterDedupScenario.Use.values()) {
            for (ReadAfterDedupScenario.Pattern pattern : ReadAfterDedupScenario.Pattern.values()) {
                all.add(new ReadAfterDedupScenario(FileSystemKind.XFS, use, pattern));
                all.add(new ReadAfterDedupScenario(FileSystemKind.BTRFS, use, pattern));
            }
        }
        all.add(new DuperemoveScenario());
        return all;
    }
}
