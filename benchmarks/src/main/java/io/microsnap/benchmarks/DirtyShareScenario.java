package io.microsnap.benchmarks;

import io.microsnap.core.PausableMachine;
import io.microsnap.core.SnapshotId;
import io.microsnap.core.internal.posix.Posix;
import io.microsnap.dirty.DirtyTracker;
import io.microsnap.memory.Capture;
import io.microsnap.memory.CaptureKind;
import io.microsnap.memory.CaptureResult;
import io.microsnap.memory.Restore;
import io.microsnap.memory.RestoreEngine;
import io.microsnap.memory.RestoredSnapshot;
import io.microsnap.store.StoreOptions;
import io.microsnap.store.internal.DirectoryStore;
import io.microsnap.testsupport.FileSystemKind;
import java.io.IOException;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.List;
import java.util.Locale;

/**
 * A whole capture of a restored guest that wrote a share of its memory: prepared, paused, published and durable. The
 * peer writes the same places and makes its file durable; it keeps neither index nor page map nor manifest.
 */
final class DirtyShareScenario implements Scenario {
    private static final long[] SHARES_PER_MILLE = {1, 10, 50, 200};
    private static final long RUN_PAGES = 16;
    private static final SnapshotId BASE = new SnapshotId("base");
    private static final SnapshotId NEXT = new SnapshotId("next");

    private final long bytes;
    private final long perMille;

    DirtyShareScenario(long bytes, long perMille) {
        this.bytes = bytes;
        this.perMille = perMille;
    }

    static List<Scenario> all() {
        List<Scenario> all = new ArrayList<>();
        for (long share : SHARES_PER_MILLE) {
            all.add(new DirtyShareScenario(Sizes.GIB, share));
        }
        return all;
    }

    private String percent() {
        return String.format(Locale.ROOT, perMille % 10 == 0 ? "%.0f%%" : "%.1f%%", perMille / 10.0);
    }

    @Override
    public String name() {
        return "share/xfs/" + Sizes.name(bytes) + "/" + percent();
    }

    @Override
    public String question() {
        return percent() + " of " + Unit.BYTES.text(bytes) + " in runs of " + RUN_PAGES + " pages captured as a diff,"
                + " from its preparation until it is durable; the peer writes and syncs the same runs";
    }

    @Override
    public Target target() {
        return Target.none();
    }

    @Override
    public long workingSetBytes() {
        return 3 * bytes;
    }

    @Override
    public Duel prepare(Workbench workbench) throws Exception {
        Path directory = workbench.directory(FileSystemKind.XFS);
        DirectoryStore store = workbench.closeLater(
                DirectoryStore.openOrCreate(Posix.host(), directory.resolve("store"), StoreOptions.PRIVATE));
        Guest guest = Guest.full(workbench, bytes);
        Capture.of(store, BASE, guest.reader()).threads(2).take(PausableMachine.pausedAlready(List.of()));
        Readings readings = new Readings();
        return new Duel(() -> capture(store, guest, readings),
                workbench.peer(DirtyShareScenario.class, "guest_memory.c", "durable", directory.resolve("peers"), bytes,
                        guest.path(), RUN_PAGES, perMille, "-"),
                () -> { }, readings).warmedBy(() -> Workbench.warmUp(() -> capture(store, guest, readings)));
    }

    private long capture(DirectoryStore store, Guest guest, Readings readings) throws IOException {
        try (RestoredSnapshot machine = Restore.of(store, BASE).restore(RestoreEngine.LAZY);
                DirtyTracker tracker = machine.tracker()) {
            guest.dirty(RUN_PAGES, perMille).runs(0, (offset, length) ->
                    Guest.fill(machine.memory().mapping(0), offset, length, 1));
            CaptureResult result = Capture.of(store, NEXT, machine.reader()).tracker(tracker)
                    .kind(CaptureKind.DIFF).threads(2).take(PausableMachine.pausedAlready(List.of()));
            CaptureResult.Times times = result.times();
            readings.ours("pause", Unit.NANOSECONDS, times.pause().toNanos());
            readings.ours("prepare", Unit.NANOSECONDS, times.prepare().toNanos());
            readings.ours("publish", Unit.NANOSECONDS, times.publish().toNanos());
            requireSame(store, machine, guest);
            store.delete(NEXT);
            return times.prepare().plus(times.pause()).plus(times.publish()).toNanos();
        }
    }

    private void requireSame(DirectoryStore store, RestoredSnapshot machine, Guest guest) throws IOException {
        try (RestoredSnapshot copy = Restore.of(store, NEXT).restore(RestoreEngine.LAZY)) {
            guest.dirty(RUN_PAGES, perMille).runs(0, (offset, length) -> {
                if (copy.memory().mapping(0).asSlice(offset, length)
                        .mismatch(machine.memory().mapping(0).asSlice(offset, length)) >= 0) {
                    throw new IOException("what was captured at " + offset + " is not what the guest wrote");
                }
            });
        }
    }
}
