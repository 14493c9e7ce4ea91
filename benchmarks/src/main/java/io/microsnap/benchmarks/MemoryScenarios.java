package io.microsnap.benchmarks;

import io.microsnap.memory.CaptureKind;
import io.microsnap.memory.Prefetch;
import io.microsnap.testsupport.FileSystemKind;
import java.util.ArrayList;
import java.util.List;

/** Which captures and restores are measured. */
final class MemoryScenarios {
    private static final List<FileSystemKind> DISKS =
            List.of(FileSystemKind.EXT4, FileSystemKind.XFS, FileSystemKind.BTRFS);

    private MemoryScenarios() {
    }

    static List<Scenario> full() {
        List<Scenario> all = new ArrayList<>();
        for (FullCaptureScenario.Kind kind : FullCaptureScenario.Kind.values()) {
            for (FileSystemKind disk : DISKS) {
                all.add(new FullCaptureScenario(kind, disk, Sizes.GIB));
            }
        }
        return all;
    }

    /** The peers with an index for each pattern; those without, which are no targets, for two. */
    static List<Scenario> dirty() {
        List<Scenario> all = new ArrayList<>();
        for (DirtyCaptureScenario.Kind kind : DirtyCaptureScenario.Kind.values()) {
            boolean indexed = kind == DirtyCaptureScenario.Kind.INDEXED
                    || kind == DirtyCaptureScenario.Kind.INDEXED_CLONE;
            for (FileSystemKind disk : DISKS) {
                if ((kind.clones() && !disk.reflinks())
                        || (kind == DirtyCaptureScenario.Kind.DURABLE && disk != FileSystemKind.BTRFS)) {
                    continue;
                }
                all.add(new DirtyCaptureScenario(kind, disk, Sizes.GIB, 50, 1));
                all.add(new DirtyCaptureScenario(kind, disk, Sizes.GIB, 50, 16));
                if (indexed) {
                    all.add(new DirtyCaptureScenario(kind, disk, Sizes.GIB, 10, 16));
                    all.add(new DirtyCaptureScenario(kind, disk, Sizes.GIB, 50, 64));
                }
            }
        }
        return all;
    }

    static List<Scenario> pause() {
        List<Scenario> all = new ArrayList<>();
        all.add(new PauseScenario(4 * Sizes.GIB, Sizes.GIB));
        all.add(new PauseScenario(16 * Sizes.GIB, Sizes.GIB));
        all.add(new FirstCaptureScenario(CaptureKind.ONTO_BASE));
        all.add(new FirstCaptureScenario(CaptureKind.FULL));
        all.addAll(KvmPauseScenario.all());
        all.addAll(CopyAheadScenario.all());
        return all;
    }

    static List<Scenario> handOut() {
        return List.of(
                new HandOutScenario(HandOutScenario.Kind.LAZY, 8 * Sizes.GIB, 0),
                new HandOutScenario(HandOutScenario.Kind.CHAIN, 8 * Sizes.GIB, 1_000),
                new HandOutScenario(HandOutScenario.Kind.CHAIN, 8 * Sizes.GIB, 13_108),
                new HandOutScenario(HandOutScenario.Kind.EAGER, Sizes.GIB, 1),
                new HandOutScenario(HandOutScenario.Kind.EAGER, Sizes.GIB, 2));
    }

    /** What was recorded is right or wrong, what is recorded meanwhile, and devices that are slow. */
    static List<Scenario> readAhead() {
        List<Scenario> all = new ArrayList<>();
        for (FileSystemKind disk : List.of(FileSystemKind.XFS, FileSystemKind.EXT4)) {
            for (TouchPattern.Shape shape : TouchPattern.Shape.values()) {
                all.add(new ColdRestoreScenario(disk, shape, ColdRestoreScenario.Ahead.SET, Throttle.Limit.NONE));
                all.add(new ColdRestoreScenario(disk, shape, ColdRestoreScenario.Ahead.WRONG, Throttle.Limit.NONE));
            }
        }
        for (Throttle.Limit limit : List.of(Throttle.Limit.REQUESTS, Throttle.Limit.BYTES)) {
            for (ColdRestoreScenario.Ahead ahead :
                    List.of(ColdRestoreScenario.Ahead.SET, ColdRestoreScenario.Ahead.NOTHING)) {
                all.add(new ColdRestoreScenario(FileSystemKind.XFS, TouchPattern.Shape.RUNS, ahead, limit));
            }
        }
        all.add(new ManyRestoresScenario(Prefetch.NONE));
        all.add(new ManyRestoresScenario(Prefetch.WORKING_SET));
        for (RecordingScenario.Part part : RecordingScenario.Part.values()) {
            all.add(new RecordingScenario(part));
        }
        return all;
    }
}
