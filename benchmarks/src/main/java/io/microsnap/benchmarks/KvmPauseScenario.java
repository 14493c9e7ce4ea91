package io.microsnap.benchmarks;

import io.microsnap.core.MachineStateSection;
import io.microsnap.core.PageReader;
import io.microsnap.core.PausableMachine;
import io.microsnap.core.Region;
import io.microsnap.core.SnapshotId;
import io.microsnap.core.internal.posix.Posix;
import io.microsnap.dirty.DirtyTracker;
import io.microsnap.kvm.DirtyTracking;
import io.microsnap.kvm.Kvm;
import io.microsnap.machine.GuestProgram;
import io.microsnap.machine.Pattern;
import io.microsnap.machine.SmallMachine;
import io.microsnap.machine.SmallMachineSpec;
import io.microsnap.machine.Touch;
import io.microsnap.memory.Capture;
import io.microsnap.memory.CaptureKind;
import io.microsnap.memory.CaptureResult;
import io.microsnap.memory.CapturedSnapshot;
import io.microsnap.memory.PreparedCapture;
import io.microsnap.store.StoreOptions;
import io.microsnap.store.internal.DirectoryStore;
import io.microsnap.testsupport.FileSystemKind;
import java.io.IOException;
import java.lang.foreign.MemorySegment;
import java.nio.file.Files;
import java.nio.file.Path;
import java.time.Duration;
import java.util.List;
import java.util.Locale;
import java.util.stream.Stream;

/**
 * How long a guest stands still for a snapshot: 1 GiB, 5 % of it written in runs of 16 pages, onto a clone of its base
 * on XFS. Whole, and part by part. The peer writes the same pages, without checksums and page map.
 */
final class KvmPauseScenario implements Scenario {
    private static final long RAM = 1L << 30;
    private static final int PAGE = 4096;
    private static final double DIRTY = 0.05;

    /** What of the pause is timed. */
    enum Part {
        PAUSE, PAUSE_STATE, PAUSE_HARVEST, PAUSE_MEMORY;

        Duration of(CaptureResult.Times times) {
            return switch (this) {
                case PAUSE -> times.pause();
                case PAUSE_STATE -> times.state();
                case PAUSE_HARVEST -> times.harvest();
                case PAUSE_MEMORY -> times.memory();
            };
        }

        String peersName() {
            return name().toLowerCase(Locale.ROOT).replace('_', '-');
        }
    }

    private final Part part;

    KvmPauseScenario(Part part) {
        this.part = part;
    }

    static List<Scenario> all() {
        return Stream.of(Part.values()).map(part -> (Scenario) new KvmPauseScenario(part)).toList();
    }

    @Override
    public String name() {
        return "kvm-" + part.peersName() + "/xfs";
    }

    @Override
    public String question() {
        return "pause of a 1 GiB guest, 5 % written in runs, onto a clone"
                + (part == Part.PAUSE ? "" : ": " + part.peersName().substring("pause-".length()) + " alone");
    }

    @Override
    public Target target() {
        return Target.none();
    }

    @Override
    public long workingSetBytes() {
        return 4 * RAM;
    }

    @Override
    public Duel prepare(Workbench workbench) throws Exception {
        Path directory = workbench.directory(FileSystemKind.XFS);
        Kvm kvm = workbench.kvm();
        SmallMachineSpec spec = SmallMachineSpec.ofRam(RAM).withTracking(DirtyTracking.MANUAL_CLEAR);
        SmallMachine machine = workbench.closeLater(SmallMachine.create(kvm, spec));
        fill(machine.memory().mapping(0));
        DirectoryStore store = workbench.closeLater(DirectoryStore.openOrCreate(
                Posix.host(), directory.resolve("store"), StoreOptions.PRIVATE));
        DirtyTracker tracker = workbench.closeLater(DirtyTracker.of(spec.layout(), machine.openDirtySource()));
        Region range = new Region(SmallMachine.PROGRAM_AREA_BYTES, RAM - SmallMachine.PROGRAM_AREA_BYTES);
        GuestProgram program = GuestProgram.touch(
                new Touch(range, Pattern.RUNS, 11, (int) (RAM / PAGE * DIRTY), 1));
        machine.load(0, program);
        PageReader reader = machine.memory().reader();
        PausableMachine pausable = new PausableMachine() {
            @Override
            public void pause() throws IOException {
                machine.pause();
            }

            @Override
            public List<MachineStateSection> saveState() throws IOException {
                return machine.saveState();
            }

            @Override
            public void resume() {
                // Its program has finished.
            }
        };
        Capture.of(store, new SnapshotId("base"), reader).tracker(tracker).take(pausable);
        long[] recorded = new long[1];
        Path found = directory.resolve("peer");
        return new Duel(
                () -> {
                    machine.load(0, program);
                    machine.resume();
                    machine.awaitFinish();
                    // Abandoned: its pages are in the next one, too, which has the same.
                    try (PreparedCapture prepared = Capture.of(store, new SnapshotId("next"), reader).tracker(tracker)
                            .kind(CaptureKind.ONTO_BASE).prepare();
                            CapturedSnapshot captured = prepared.capture(pausable)) {
                        recorded[0] = captured.memory().pagesRecorded();
                        return part.of(captured.times()).toNanos();
                    }
                },
                workbench.peer(KvmPauseScenario.class, "kvm.c", part.peersName(),
                        DirtyHarvestScenario.number(DirtyTracking.MANUAL_CLEAR), RAM, 0, 0, 1, found,
                        DirtyHarvestScenario.code(machine)),
                () -> requireSame(recorded[0], found));
    }

    private static void fill(MemorySegment memory) {
        for (long page = 3; page < RAM / PAGE; page++) {
            memory.asSlice(page * PAGE, PAGE).fill((byte) (page % 255 + 1));
        }
    }

    /** Both wrote the same number of pages. */
    private static void requireSame(long recorded, Path found) throws IOException {
        long theirs = Long.parseLong(Files.readString(found));
        if (recorded != theirs) {
            throw new IOException("we wrote " + recorded + " pages, the peer " + theirs);
        }
    }
}
