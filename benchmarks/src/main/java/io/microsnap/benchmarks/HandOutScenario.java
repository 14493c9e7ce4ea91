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
import io.microsnap.testsupport.FileSystemKind;
import java.io.IOException;
import java.nio.file.Path;
import java.util.List;
import java.util.Locale;

/** From a snapshot in a store to guest memory that can be used. */
final class HandOutScenario implements Scenario {
    private static final SnapshotId BASE = new SnapshotId("base");
    private static final SnapshotId DIFF = new SnapshotId("diff");
    /** A restore makes few calls: it takes this many until the code that makes them is compiled to the end. */
    private static final int RESTORES_TO_WARM_UP = 1000;
    /** Of a chain each makes a call a run; so many calls in all. */
    private static final int RUNS_TO_WARM_UP = 1_000_000;
    private static final long MILLISECOND = 1_000_000;
    private static final long RUN = 5_000;

    private final Kind kind;
    private final long bytes;
    private final int count;

    /** Which engine, and what the count counts. */
    enum Kind {
        /** Of a full snapshot, beside the promise of a millisecond. */
        LAZY,
        /** Of a diff of so many runs, beside the promise of five microseconds more for each. */
        CHAIN,
        /** In so many threads, beside as many in C. */
        EAGER
    }

    HandOutScenario(Kind kind, long bytes, int count) {
        this.kind = kind;
        this.bytes = bytes;
        this.count = count;
    }

    @Override
    public String name() {
        return "hand-out/" + kind.name().toLowerCase(Locale.ROOT) + (kind == Kind.LAZY ? "" : "/" + count) + "/"
                + Sizes.name(bytes);
    }

    @Override
    public String question() {
        String guest = "a guest of " + (bytes >> 20) + " MiB on XFS, warm, ";
        return guest + switch (kind) {
            case LAZY -> "restored lazily; the peer is a promise of 1 ms";
            case CHAIN -> "restored lazily from a base and a diff of " + count
                    + " runs; the peer is a promise of 1 ms and 5 µs a run";
            case EAGER -> "restored eagerly in threads: " + count + "; the peer reads 4 MiB a call in as many";
        };
    }

    @Override
    public Target target() {
        return kind == Kind.EAGER ? Target.speedAtLeast(0.9) : Target.timeAtMost(1);
    }

    @Override
    public long workingSetBytes() {
        return kind == Kind.EAGER ? 3 * bytes : 1L << 30;
    }

    @Override
    public Duel prepare(Workbench workbench) throws Exception {
        Path directory = workbench.directory(FileSystemKind.XFS);
        DirectoryStore store = workbench.closeLater(
                DirectoryStore.openOrCreate(Posix.host(), directory.resolve("store"), StoreOptions.PRIVATE));
        Guest guest = kind == Kind.EAGER ? Guest.full(workbench, bytes) : Guest.empty(workbench, bytes);
        if (kind != Kind.EAGER) {
            for (long offset = 0; offset < bytes; offset += 8 << 20) {
                guest.fill(offset, 1 << 20);
            }
        }
        DirtyTracker tracker = workbench.closeLater(DirtyTracker.ofMarks(guest.layout()));
        PausableMachine paused = PausableMachine.pausedAlready(List.of());
        Capture.of(store, BASE, guest.reader()).tracker(tracker).take(paused);
        if (kind == Kind.CHAIN) {
            guest.dirtyRuns(1, count).runs(0, (offset, length) -> {
                guest.fill(offset, length);
                tracker.markWritten(offset, length);
            });
            Capture.of(store, DIFF, guest.reader()).tracker(tracker).kind(CaptureKind.DIFF).take(paused);
        }
        Copy copy = workbench.closeLater(new Copy(store));
        return new Duel(
                Contestant.java(copy::close, copy::restore), peer(workbench, directory), () -> copy.check(guest))
                .warmedBy(() -> {
                    copy.close();
                    for (int restore = 0; restore < restoresToWarmUp(); restore++) {
                        copy.restore();
                        copy.close();
                    }
                });
    }

    private int restoresToWarmUp() {
        return switch (kind) {
            case LAZY -> RESTORES_TO_WARM_UP;
            case CHAIN -> RUNS_TO_WARM_UP / count;
            case EAGER -> 0;
        };
    }

    private Contestant peer(Workbench workbench, Path directory) throws Exception {
        return switch (kind) {
            case LAZY -> () -> MILLISECOND;
            case CHAIN -> () -> MILLISECOND + count * RUN;
            case EAGER -> workbench.peer(HandOutScenario.class, "guest_memory.c", "eager",
                    directory.resolve("store").resolve("base").resolve("memory.img"), bytes, count);
        };
    }

    /** The copy that is alive. */
    private final class Copy implements AutoCloseable {
        private final DirectoryStore store;
        private RestoredSnapshot restored;

        Copy(DirectoryStore store) {
            this.store = store;
        }

        void restore() throws IOException {
            restored = switch (kind) {
                case LAZY -> Restore.of(store, BASE).restore(RestoreEngine.LAZY);
                case CHAIN -> Restore.of(store, DIFF).mostMappings(4 * count).restore(RestoreEngine.LAZY);
                case EAGER -> Restore.of(store, BASE).threads(count).restore(RestoreEngine.EAGER);
            };
        }

        void check(Guest guest) throws IOException {
            long part = Math.min(bytes, 256L << 20);
            if (restored.memory().mapping(0).asSlice(0, part).mismatch(guest.memory().asSlice(0, part)) >= 0) {
                throw new IOException("the restored memory is not the guest's");
            }
        }

        @Override
        public void close() throws IOException {
            if (restored != null) {
                restored.close();
                restored = null;
            }
        }
    }
}
