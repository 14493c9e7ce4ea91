package io.microsnap.benchmarks.store;

import io.microsnap.benchmarks.scenario.Scenario;
import io.microsnap.testsupport.FileSystemKind;
import java.util.ArrayList;
import java.util.List;

/** What a store does for each snapshot, and for ten thousand of them. */
public final class StoreScenarios {

    private StoreScenarios() {
    }

    /** All of them. */
    public static List<Scenario> all() {
        List<Scenario> all = new ArrayList<>();
        for (FileSystemKind kind : List.of(FileSystemKind.TMPFS, FileSystemKind.XFS)) {
            all.add(new IndexUpdateScenario(kind, 1));
            all.add(new IndexUpdateScenario(kind, 16));
        }
        all.add(new PublishScenario(FileSystemKind.EXT4));
        all.add(new PublishScenario(FileSystemKind.XFS));
        all.add(new ListScenario(10_000));
        return all;
    }
}
