package io.microsnap.vmm;

import io.microsnap.core.GuestLayout;
import io.microsnap.core.PausableMachine;
import io.microsnap.core.SnapshotId;
import io.microsnap.core.SnapshotReference;
import io.microsnap.core.internal.posix.Descriptor;
import io.microsnap.core.internal.posix.Posix;
import io.microsnap.dirty.DirtyTracker;
import io.microsnap.memory.Capture;
import io.microsnap.memory.CaptureResult;
import io.microsnap.memory.internal.reader.FileMemoryReader;
import io.microsnap.store.HeldSnapshot;
import io.microsnap.store.SnapshotStore;
import io.microsnap.vmm.internal.cloud.CloudDirectory;
import io.microsnap.vmm.internal.cloud.MemoryRanges;
import io.microsnap.vmm.internal.cloud.RangesReader;
import io.microsnap.vmm.internal.firecracker.FirecrackerLayout;
import io.microsnap.vmm.internal.firecracker.StateFile;
import io.microsnap.vmm.internal.firecracker.Version;
import io.microsnap.vmm.internal.host.ChangedExtents;
import io.microsnap.vmm.internal.host.SmallFiles;
import java.io.IOException;
import java.nio.file.Path;
import java.util.List;
import java.util.Optional;
import java.util.function.UnaryOperator;

/** Makes snapshots of files that a VMM's own tools wrote. No process may change the files meanwhile. */
public final class VmmFiles {
    private VmmFiles() {
    }

    /**
     * The two files of a Firecracker snapshot.
     *
     * @param memory guest RAM
     * @param state the state file, which must be whole
     * @param layout the guest's regions; empty for those of Firecracker 1.13 and later
     * @param diffOf the base of the memory file, if that is a diff: its holes mean "as in the base"
     */
    public record Firecracker(Path memory, Path state, Optional<GuestLayout> layout, Optional<SnapshotId> diffOf) {
    }

    /** Imports a Firecracker snapshot. */
    public static CaptureResult importFirecracker(SnapshotStore store, SnapshotId id, Firecracker files,
            UnaryOperator<Capture> details) throws IOException {
        Posix posix = Posix.host();
        StateFile.requireWhole(posix, files.state);
        try (Descriptor memory = SmallFiles.open(posix, files.memory)) {
            GuestLayout layout = files.layout.isPresent() ? files.layout.get() : FirecrackerLayout.of(
                    Version.NEWEST_KNOWN, System.getProperty("os.arch").equals("aarch64"), memory.sizeBytes(),
                    posix.getpagesize());
            Capture capture = details.apply(Capture.of(store, id, FileMemoryReader.of(memory, layout)))
                    .attach(FirecrackerVmm.STATE, files.state);
            if (files.diffOf.isEmpty()) {
                return take(capture);
            }
            SnapshotReference base;
            try (HeldSnapshot held = store.hold(files.diffOf.get())) {
                base = held.reference();
            }
            ChangedExtents changed = new ChangedExtents(layout);
            changed.dumped(memory);
            try (DirtyTracker tracker = DirtyTracker.of(layout, changed)) {
                tracker.armRelativeTo(base);
                return take(capture.tracker(tracker).base(base.id()));
            }
        }
    }

    /** Imports a directory that Cloud Hypervisor wrote. */
    public static CaptureResult importCloudHypervisor(SnapshotStore store, SnapshotId id, Path directory,
            UnaryOperator<Capture> details) throws IOException {
        Posix posix = Posix.host();
        MemoryRanges ranges = CloudDirectory.ranges(posix, directory);
        try (Descriptor memory = SmallFiles.open(posix, directory.resolve(CloudDirectory.MEMORY))) {
            RangesReader reader = RangesReader.of(memory, ranges, ranges.layout(posix.getpagesize()));
            return take(details.apply(Capture.of(store, id, reader))
                    .attach(CloudDirectory.CONFIG, directory.resolve(CloudDirectory.CONFIG))
                    .attach(CloudDirectory.STATE, directory.resolve(CloudDirectory.STATE)));
        }
    }

    private static CaptureResult take(Capture capture) throws IOException {
        return capture.take(PausableMachine.pausedAlready(List.of()));
    }
}
