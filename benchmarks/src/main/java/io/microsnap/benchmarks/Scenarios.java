package io.microsnap.benchmarks;

import io.microsnap.core.IoMode;
import io.microsnap.dedup.Engine;
import io.microsnap.testsupport.FileSystemKind;
import java.util.ArrayList;
import java.util.List;

/** Every scenario there is, in families. */
final class Scenarios {
    private static final long SMALL = 256 * Sizes.MIB;

    private Scenarios() {
    }

    /** What people wait for comes first, the parts it is made of last. */
    static List<Family> families() {
        return List.of(
                new Family("restore", "From a snapshot in a store to a guest that has touched what it needs.",
                        RestoreMatrix.quick(SMALL), RestoreMatrix.cells())
                        .detailing("/populate/full/.*/64m", "/(populate|memfd|huge-pages)/full/warm/",
                                "/eager/full/warm/1g/4m",
                                "/working-set/full/warm/1g/(4m|256m)", "/working-set/(onto-clone|chain-1|sibling)/",
                                "/(onto-clone|chain-1|sibling)/warm/", "/warm/256m/"),
                new Family("read-ahead", "Recorded working sets: right ones, wrong ones, slow devices, the recording.",
                        RestoreMatrix.quickReadAhead(SMALL), MemoryScenarios.readAhead())
                        .detailing("/ext4/", "/single/wrong", "/(requests|bytes)$"),
                new Family("fan-out", "Many restores of one snapshot, all alive at once.",
                        RestoreMatrix.quickFanOut(SMALL), RestoreMatrix.fanOut()),
                new Family("siblings", "Page cache that guests of related snapshots take together.",
                        new SiblingMemoryScenario(SiblingMemoryScenario.Kind.DIFFS, 4, SMALL),
                        SiblingMemoryScenario.all()),
                new Family("hand-out", "How soon a restore hands memory out, beside what is promised.",
                        new HandOutScenario(HandOutScenario.Kind.LAZY, SMALL, 0), MemoryScenarios.handOut())
                        .detailing("/chain/1000/", "/eager/1/"),
                new Family("share", "A whole capture, and its pause, by how much of the guest changed.",
                        new DirtyShareScenario(SMALL, 50), DirtyShareScenario.all()),
                new Family("dirty", "What changed, written into a diff or a clone, with index and page map.",
                        new DirtyCaptureScenario(DirtyCaptureScenario.Kind.INDEXED, FileSystemKind.XFS, SMALL, 50, 16),
                        MemoryScenarios.dirty())
                        .detailing("/(1%/16|5%/64)$", "/(diff|clone|reference)/(ext4|btrfs)/", "/durable/"),
                new Family("full", "A guest written whole.",
                        new FullCaptureScenario(FullCaptureScenario.Kind.INDEXED, FileSystemKind.XFS, SMALL),
                        MemoryScenarios.full())
                        .detailing("/(dense|sparse)/(ext4|btrfs)/"),
                new Family("direct", "Baking and restoring past the page cache.",
                        new DirectScenario(DirectScenario.Kind.BAKE, IoMode.DIRECT, SMALL), DirectScenario.all())
                        .detailing("/2048$"),
                new Family("pause", "How long a guest stands still.",
                        new PauseScenario(SMALL, SMALL / 4), MemoryScenarios.pause())
                        .detailing("pause/16g", "kvm-pause-", "/slowed/", "/flat(-page-map)?/onto/16GiB"),
                new Family("generations", "What captures and restores cost after many generations, all kept.",
                        new GenerationsScenario(FileSystemKind.XFS, 16, 12, SMALL),
                        GenerationsScenario.all())
                        .detailing("/200/", "/40/ext4/1g/16"),
                new Family("dedup", "Blocks shared with a sibling after the fact, and what that costs later.",
                        new DedupScenario(FileSystemKind.XFS, SMALL, Engine.SHARE_IN_PLACE, 3), dedup())
                        .detailing("/btrfs/later/", "/1g/stored"),
                new Family("registry", "Snapshots to and from a registry.",
                        new RegistryScenario(true, SMALL), RegistryScenario.all()),
                new Family("store", "The directory of snapshots: publishing, listing, page indexes.",
                        new ListScenario(1000), store())
                        .detailing("index-update/(ext4|btrfs)/"),
                new Family("harvest", "Asking the kernel which pages changed.",
                        new HarvestScenario(SMALL, 5000), harvest())
                        .detailing("/1g/0-pages", "/1g/(100000|30000)-pages", "/(manual-clear|ring)/16g/",
                                "/16g/(0|100000)-"),
                new Family("copy", "Files copied and scanned.",
                        new DenseCopyScenario(FileSystemKind.EXT4, SMALL), copy()),
                new Family("parts", "What every page costs by itself.",
                        new SmallWriteScenario(16 * Sizes.MIB), parts()));
    }

    private static List<Scenario> parts() {
        List<Scenario> all = new ArrayList<>();
        all.add(new SmallWriteScenario(64 * Sizes.MIB));
        all.addAll(PageScenario.all());
        all.addAll(BitmapScenario.all());
        return all;
    }

    private static List<Scenario> store() {
        List<Scenario> all = new ArrayList<>();
        for (FileSystemKind kind : List.of(FileSystemKind.EXT4, FileSystemKind.XFS, FileSystemKind.BTRFS)) {
            all.add(new IndexUpdateScenario(kind, 1));
            all.add(new IndexUpdateScenario(kind, 16));
        }
        all.add(new PublishScenario(FileSystemKind.EXT4));
        all.add(new PublishScenario(FileSystemKind.XFS));
        all.add(new ListScenario(10_000));
        return all;
    }

    private static List<Scenario> harvest() {
        List<Scenario> all = new ArrayList<>();
        all.add(new HarvestScenario(Sizes.GIB, 5000));
        all.addAll(DirtyHarvestScenario.all());
        all.add(new MachineStateScenario());
        return all;
    }

    private static List<Scenario> copy() {
        List<Scenario> all = new ArrayList<>();
        all.addAll(SparseCopyScenario.all());
        all.addAll(DenseCopyScenario.all());
        all.addAll(ExtentScanScenario.all());
        return all;
    }

    private static List<Scenario> dedup() {
        List<Scenario> all = new ArrayList<>();
        for (Engine engine : Engine.values()) {
            all.add(new DedupScenario(FileSystemKind.XFS, Sizes.GIB, engine, 3));
            all.add(new DedupScenario(FileSystemKind.BTRFS, Sizes.GIB, engine, 2));
        }
        all.add(new DedupStoredScenario(FileSystemKind.XFS, Sizes.GIB, 3));
        all.add(new DedupStoredScenario(FileSystemKind.XFS, 2 * Sizes.GIB, 3));
        all.add(new DedupStoredScenario(FileSystemKind.BTRFS, Sizes.GIB, 2));
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
