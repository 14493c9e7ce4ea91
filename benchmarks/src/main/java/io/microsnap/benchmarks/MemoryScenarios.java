package io.microsnap.benchmarks;

import io.microsnap.memory.CaptureKind;
import io.microsnap.testsupport.FileSystemKind;
import java.util.ArrayList;
import java.util.List;

/** Capture and restore. */
final class MemoryScenarios {
    private static final long GIB = 1L << 30;
    private static final List<FileSystemKind> DISKS =
            List.of(FileSystemKind.EXT4, FileSystemKind.XFS, FileSystemKind.BTRFS);

    private MemoryScenarios() {
    }

    static List<Scenario> all() {
        List<Scenario> all = new ArrayList<>();
        for (FullCaptureScenario.Kind kind : FullCaptureScenario.Kind.values()) {
            for (FileSystemKind disk : DISKS) {
                all.add(new FullCaptureScenario(kind, disk, GIB));
            }
        }
        for (DirtyCaptureScenario.Kind kind : DirtyCaptureScenario.Kind.values()) {
            for (FileSystemKind disk : DISKS) {
                if ((kind == DirtyCaptureScenario.Kind.CLONE && !disk.reflinks())
                        || (kind == DirtyCaptureScenario.Kind.DURABLE && disk != FileSystemKind.BTRFS)) {
                    continue;
                }
                for (long perMille : new long[] {10, 50}) {
                    for (long runPages : new long[] {1, 16, 64}) {
                        all.add(new DirtyCaptureScenario(kind, disk, 2 * GIB, perMille, runPages));
                    }
                }
            }
        }
        all.add(new FirstCaptureScenario(CaptureKind.ONTO_BASE));
        all.add(new FirstCaptureScenario(CaptureKind.FULL));
        all.add(new PauseScenario(4 * GIB));
        all.add(new PauseScenario(16 * GIB));
        all.add(new RestoreScenario(RestoreScenario.Kind.LAZY, 8 * GIB, 0));
        all.add(new RestoreScenario(RestoreScenario.Kind.CHAIN, 8 * GIB, 1_000));
        all.add(new RestoreScenario(RestoreScenario.Kind.CHAIN, 8 * GIB, 13_108));
        all.add(new RestoreScenario(RestoreScenario.Kind.EAGER, GIB, 1));
        all.add(new RestoreScenario(RestoreScenario.Kind.EAGER, GIB, 2));
        return all;
    }
}
