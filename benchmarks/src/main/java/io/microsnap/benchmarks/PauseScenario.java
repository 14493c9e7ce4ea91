package io.microsnap.benchmarks;

import io.microsnap.core.PausableMachine;
import io.microsnap.core.SnapshotId;
import io.microsnap.core.internal.posix.Posix;
import io.microsnap.dirty.DirtyTracker;
import io.microsnap.memory.Capture;
import io.microsnap.memory.CapturedSnapshot;
import io.microsnap.memory.PreparedCapture;
import io.microsnap.store.StoreOptions;
import io.microsnap.store.internal.DirectoryStore;
import io.microsnap.testsupport.FileSystemKind;
import java.io.IOException;
import java.util.List;

/** Whether the pause follows what changed or how much memory there is: the same dirty pages in a small guest. */
final class PauseScenario implements Scenario {
    private static final long RUNS = 1024;
    private static final long RUN_PAGES = 4;

    private final long bytes;
    private final long small;

    PauseScenario(long bytes, long small) {
        this.bytes = bytes;
        this.small = small;
    }

    @Override
    public String name() {
        return "pause/" + Sizes.name(bytes);
    }

    @Override
    public String question() {
        return RUNS * RUN_PAGES + " dirty pages of a guest of " + (bytes >> 20)
                + " MiB, the whole pause, onto a clone on XFS; the peer is the same in a guest of " + (small >> 20)
                + " MiB";
    }

    @Override
    public Target target() {
        return Target.timeAtMost(1.5);
    }

    @Override
    public long workingSetBytes() {
        return 1L << 30;
    }

    @Override
    public Duel prepare(Workbench workbench) throws Exception {
        Paused big = new Paused(workbench, bytes);
        Paused little = new Paused(workbench, small);
        return new Duel(big::pauseNanos, little::pauseNanos, () -> { });
    }

    private static final class Paused {
        private final Guest guest;
        private final DirectoryStore store;
        private final DirtyTracker tracker;
        private final PausableMachine machine = PausableMachine.pausedAlready(List.of());

        Paused(Workbench workbench, long bytes) throws Exception {
            guest = Guest.empty(workbench, bytes);
            store = workbench.closeLater(DirectoryStore.openOrCreate(Posix.host(),
                    workbench.directory(FileSystemKind.XFS).resolve("store"), StoreOptions.PRIVATE));
            tracker = workbench.closeLater(DirtyTracker.ofMarks(guest.layout()));
            touch();
            Capture.of(store, new SnapshotId("base"), guest.reader()).tracker(tracker).take(machine);
        }

        long pauseNanos() throws IOException {
            touch();
            // Not published: the epoch is given back, and the next round is relative to the same base.
            try (PreparedCapture prepared =
                    Capture.of(store, new SnapshotId("next"), guest.reader()).tracker(tracker).prepare();
                    CapturedSnapshot captured = prepared.capture(machine)) {
                if (captured.memory().pagesRecorded() != RUNS * RUN_PAGES) {
                    throw new IOException(captured.memory() + " is not what was written");
                }
                return captured.times().pause().toNanos();
            }
        }

        private void touch() throws IOException {
            guest.dirtyRuns(RUN_PAGES, RUNS).runs(0, (offset, length) -> {
                guest.fill(offset, length);
                tracker.markWritten(offset, length);
            });
        }
    }
}
