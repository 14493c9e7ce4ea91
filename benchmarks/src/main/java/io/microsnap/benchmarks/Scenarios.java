package io.microsnap.benchmarks;

import io.microsnap.dedup.Engine;
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
        for (FileSystemKind kind : List.of(FileSystemKind.EXT4, FileSystemKind.XFS, FileSystemKind.BTRFS)) {
            all.add(new IndexUpdateScenario(kind, 1));
            all.add(new IndexUpdateScenario(kind, 16));
        }
        all.add(new PublishScenario(FileSystemKind.EXT4));
        all.add(new PublishScenario(FileSystemKind.XFS));
        all.add(new ListScenario(10_000));
        all.addAll(MemoryScenarios.all());
        all.addAll(DirectScenario.all());
        all.addAll(SparseCopyScenario.all());
        all.addAll(DenseCopyScenario.all());
        all.addAll(ExtentScanScenario.all());
        all.addAll(DirtyHarvestScenario.all());
        all.add(new MachineStateScenario());
        all.addAll(KvmPauseScenario.all());
        all.addAll(CopyAheadScenario.all());
        all.addAll(GenerationsScenario.all());
        all.addAll(RegistryScenario.all());
        dedup(all);
        return List.copyOf(all);
    }

    private static void dedup(List<Scenario> all) {
        for (Engine engine : Engine.values()) {
            for (int gibibytes = 1; gibibytes <= 2; gibibytes++) {
                all.add(new DedupScenario(FileSystemKind.XFS, gibibytes, engine, 3));
                all.add(new DedupScenario(FileSystemKind.BTRFS, gibibytes, engine, 2));
            }
        }
        for (int gibibytes = 1; gibibytes <= 2; gibibytes++) {
            all.add(new DedupStoredScenario(FileSystemKind.XFS, gibibytes, 3));
            all.add(new DedupStoredScenario(FileSystemKind.BTRFS, gibibytes, 2));
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
    }
}
