package io.microsnap.benchmarks;

import io.microsnap.benchmarks.dedup.DedupScenarios;
import io.microsnap.benchmarks.dirty.DirtyScenarios;
import io.microsnap.benchmarks.files.FileScenarios;
import io.microsnap.benchmarks.kvm.KvmScenarios;
import io.microsnap.benchmarks.memory.MemoryScenarios;
import io.microsnap.benchmarks.scenario.Scenario;
import io.microsnap.benchmarks.store.StoreScenarios;
import java.util.List;
import java.util.stream.Stream;

/** Every scenario there is. */
final class Scenarios {

    private Scenarios() {
    }

    static List<Scenario> all() {
        return Stream.of(
                        FileScenarios.all(),
                        StoreScenarios.all(),
                        DirtyScenarios.all(),
                        MemoryScenarios.all(),
                        DedupScenarios.all(),
                        KvmScenarios.all())
                .flatMap(List::stream)
                .toList();
    }
}
