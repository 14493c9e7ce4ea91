package io.microsnap.benchmarks;

import io.microsnap.benchmarks.dirty.BitmapScenario;
import io.microsnap.benchmarks.dirty.HarvestScenario;
import io.microsnap.testsupport.FileSystemKind;
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
        all.addAll(BitmapScenario.all());
        all.add(new HarvestScenario(1L << 30, 5000));
        for (FileSystemKind kind : List.of(FileSystemKind.TMPFS, FileSystemKind.XFS)) {
            all.add(new IndexUpdateScenario(kind, 1));
            all.add(new IndexUpdateScenario(kind, 16));
        }
        all.add(new PublishScenario(FileSystemKind.EXT4));
        all.add(new PublishScenario(FileSystemKind.XFS));
        all.add(new ListScenario(10_000));
        all.addAll(MemoryScenarios.all());
        all.addAll(SparseCopyScenario.all());
        all.addAll(DenseCopyScenario.all());
        all.addAll(ExtentScanScenario.all());
        all.addAll(DirtyHarvestScenario.all());
        all.add(new MachineStateScenario());
        all.addAll(KvmPauseScenario.all());
        return List.copyOf(all);
    }
}
