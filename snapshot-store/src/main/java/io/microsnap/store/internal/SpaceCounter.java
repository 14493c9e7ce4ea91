package io.microsnap.store.internal;

import io.microsnap.core.DamagedException;
import io.microsnap.core.internal.file.ExtentSummary;
import io.microsnap.core.internal.file.Extents;
import io.microsnap.core.internal.posix.Constants;
import io.microsnap.core.internal.posix.Descriptor;
import io.microsnap.core.internal.posix.Stat;
import io.microsnap.store.SpaceUse;
import java.io.IOException;
import java.util.Optional;
import java.util.OptionalLong;

/** Adds up the space that the files in a directory take. */
final class SpaceCounter {
    private long logical;
    private long allocated;
    private long exclusive;
    private boolean told = true;

    private SpaceCounter() {
    }

    static SpaceUse of(Descriptor snapshot) throws IOException {
        SpaceCounter counter = new SpaceCounter();
        counter.add(snapshot, true);
        return new SpaceUse(counter.logical, counter.allocated,
                counter.told ? OptionalLong.of(counter.exclusive) : OptionalLong.empty());
    }

    private void add(Descriptor directory, boolean top) throws IOException {
        Constants constants = directory.posix().constants();
        for (String name : directory.names()) {
            Optional<Stat> status = directory.statusAt(name);
            if (status.isEmpty()) {
                continue;
            }
            if (status.get().isRegularFile()) {
                try (Descriptor file = directory.openAt(name, constants.O_RDONLY | constants.O_NONBLOCK, 0)) {
                    add(file);
                }
            } else if (top && name.equals(SnapshotFiles.ATTACHMENTS) && status.get().isDirectory()) {
                try (Descriptor attachments = StagingArea.openDirectory(directory, name)) {
                    add(attachments, false);
                }
            } else {
                throw new DamagedException(directory + "/" + Printable.of(name) + " is not a plain file");
            }
        }
    }

    private void add(Descriptor file) throws IOException {
        Optional<ExtentSummary> extents = Extents.summary(file);
        Stat status = file.status();
        logical += status.sizeBytes();
        allocated += status.allocatedBytes();
        told &= extents.isPresent();
        exclusive += extents.map(summary -> Math.max(0, status.allocatedBytes() - summary.sharedBytes())).orElse(0L);
    }
}
