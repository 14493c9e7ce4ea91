package io.microsnap.benchmarks;

import io.microsnap.core.PausableMachine;
import io.microsnap.core.SnapshotId;
import io.microsnap.core.internal.posix.Posix;
import io.microsnap.dirty.DirtyTracker;
import io.microsnap.memory.Capture;
import io.microsnap.memory.CaptureKind;
import io.microsnap.memory.Restore;
import io.microsnap.memory.RestoreEngine;
import io.microsnap.memory.RestoredSnapshot;
import io.microsnap.store.StoreOptions;
import io.microsnap.store.internal.DirectoryStore;
import io.microsnap.store.internal.SnapshotFiles;
import io.microsnap.testsupport.FileSystemKind;
import java.io.IOException;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.Collections;
import java.util.LinkedHashSet;
import java.util.List;
import java.util.Locale;
import java.util.Set;

/**
 * How much page cache guests take together that were restored lazily from related snapshots, each having touched the
 * same places: bytes, not time. The peer is a copy of what was touched for each guest.
 */
final class SiblingMemoryScenario implements Scenario {
    private static final int[] COUNTS = {1, 4, 16};
    private static final long GUEST_BYTES = 256 * Sizes.MIB;
    private static final long TOUCHED_BYTES = 64 * Sizes.MIB;
    private static final long RUN_PAGES = 16;
    private static final long CHANGED_PER_MILLE = 50;
    private static final SnapshotId BASE = new SnapshotId("base");

    private final Kind kind;
    private final int count;
    private final long bytes;

    /** How the guests' snapshots are related. */
    enum Kind {
        /** There is one, restored again and again. */
        SAME,
        /** Each is a diff of a twentieth on one base. */
        DIFFS,
        /** Each is a clone of one base with a twentieth written into it. */
        CLONES
    }

    SiblingMemoryScenario(Kind kind, int count, long bytes) {
        this.kind = kind;
        this.count = count;
        this.bytes = bytes;
    }

    static List<Scenario> all() {
        List<Scenario> all = new ArrayList<>();
        for (Kind kind : Kind.values()) {
            for (int count : COUNTS) {
                all.add(new SiblingMemoryScenario(kind, count, GUEST_BYTES));
            }
        }
        return all;
    }

    @Override
    public String name() {
        return "siblings/" + kind.name().toLowerCase(Locale.ROOT) + "/" + Sizes.name(bytes) + "/" + count;
    }

    @Override
    public String question() {
        return "page cache of " + count + " guests of " + Unit.BYTES.text(bytes) + ", each having touched "
                + Unit.BYTES.text(TOUCHED_BYTES) + " in runs, restored from " + switch (kind) {
                    case SAME -> "one snapshot";
                    case DIFFS -> "diffs on one base";
                    case CLONES -> "clones of one base";
                } + "; the peer is a copy for each";
    }

    @Override
    public Target target() {
        return Target.none();
    }

    @Override
    public Unit unit() {
        return Unit.BYTES;
    }

    @Override
    public long workingSetBytes() {
        return count * bytes;
    }

    @Override
    public Duel prepare(Workbench workbench) throws Exception {
        Path storePath = workbench.directory(FileSystemKind.XFS).resolve("store");
        DirectoryStore store = workbench.closeLater(
                DirectoryStore.openOrCreate(Posix.host(), storePath, StoreOptions.PRIVATE));
        Guest guest = Guest.full(workbench, bytes);
        PausableMachine paused = PausableMachine.pausedAlready(List.of());
        Capture.of(store, BASE, guest.reader()).threads(2).take(paused);
        List<SnapshotId> ids = new ArrayList<>();
        for (int number = 0; number < count; number++) {
            ids.add(kind == Kind.SAME ? BASE : sibling(store, guest, number, paused));
        }
        TouchPlan plan = TouchPlan.of(
                TouchPlan.Pattern.RUNS, TOUCHED_BYTES, StoredGuest.Populated.of(bytes));
        Set<Path> images = new LinkedHashSet<>();
        for (SnapshotId id : ids) {
            images.add(storePath.resolve(id.toString()).resolve(SnapshotFiles.MEMORY));
        }
        if (kind == Kind.DIFFS) {
            images.add(storePath.resolve(BASE.toString()).resolve(SnapshotFiles.MEMORY));
        }
        Readings readings = new Readings();
        return new Duel(() -> pageCache(store, ids, guest, plan, List.copyOf(images), readings),
                () -> count * TOUCHED_BYTES, () -> { }, readings);
    }

    /** Each sibling writes a twentieth at the same places, with bytes of its own. */
    private static SnapshotId changedId(int number) {
        return new SnapshotId("sibling-" + number);
    }

    private SnapshotId sibling(DirectoryStore store, Guest guest, int number, PausableMachine paused)
            throws IOException {
        SnapshotId id = changedId(number);
        try (RestoredSnapshot machine = Restore.of(store, BASE).restore(RestoreEngine.LAZY);
                DirtyTracker tracker = machine.tracker()) {
            guest.dirty(RUN_PAGES, CHANGED_PER_MILLE).runs(0, (offset, length) ->
                    Guest.fill(machine.memory().mapping(0), offset, length, number + 1));
            Capture.of(store, id, machine.reader()).tracker(tracker).threads(2)
                    .kind(kind == Kind.DIFFS ? CaptureKind.DIFF : CaptureKind.ONTO_BASE).take(paused);
        }
        return id;
    }

    private long pageCache(DirectoryStore store, List<SnapshotId> ids, Guest guest, TouchPlan plan, List<Path> images,
            Readings readings) throws IOException {
        for (Path image : images) {
            DedupImages.makeCold(image);
        }
        List<RestoredSnapshot> alive = new ArrayList<>();
        try {
            long start = System.nanoTime();
            for (SnapshotId id : ids) {
                RestoredSnapshot restored = Restore.of(store, id).restore(RestoreEngine.LAZY);
                alive.add(restored);
                plan.touch(restored.memory().mapping(0), 0, plan.pages());
            }
            readings.ours("until all touched", Unit.NANOSECONDS, System.nanoTime() - start);
            long cached = Residency.pageCacheBytes(images);
            for (int number = 0; number < alive.size(); number++) {
                requireSame(alive.get(number), guest, kind == Kind.SAME ? 0 : number + 1);
            }
            return cached;
        } finally {
            Collections.reverse(alive);
            for (RestoredSnapshot restored : alive) {
                restored.close();
            }
        }
    }

    private static void requireSame(RestoredSnapshot restored, Guest guest, int generation) throws IOException {
        if (generation > 0) {
            guest.dirty(RUN_PAGES, CHANGED_PER_MILLE).runs(0, (offset, length) ->
                    Guest.fill(guest.memory(), offset, length, generation));
        }
        if (restored.memory().mapping(0).mismatch(guest.memory()) >= 0) {
            throw new IOException(restored.reference().id() + " has other bytes than its guest had");
        }
    }
}
