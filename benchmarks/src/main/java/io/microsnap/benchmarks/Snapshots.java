package io.microsnap.benchmarks;

import io.microsnap.core.SnapshotId;
import io.microsnap.core.SnapshotReference;
import java.util.UUID;

/** Names for what is never stored. */
final class Snapshots {
    static final SnapshotReference ANY = new SnapshotReference(new SnapshotId("any"), new UUID(1, 2), 3);

    private Snapshots() {
    }
}
