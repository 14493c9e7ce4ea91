package io.microsnap.store;

import io.microsnap.core.GuestLayout;
import io.microsnap.core.SnapshotId;
import io.microsnap.core.SnapshotReference;
import io.microsnap.store.internal.StoredSnapshot;
import java.io.IOException;

/**
 * A snapshot that is in use, with the bases it requires. While it is held no process deletes or replaces it, except by
 * force, and even then the files that the holder has opened stay readable. Closing it ends the hold.
 */
public sealed interface HeldSnapshot extends AutoCloseable permits StoredSnapshot {
    /** Returns the snapshot's manifest. */
    Manifest manifest();

    /** Names this publication: id and uuid. */
    SnapshotReference reference();

    /** Names the snapshot. */
    SnapshotId id();

    /** Returns the guest's regions. */
    GuestLayout layout();

    @Override
    void close() throws IOException;
}
