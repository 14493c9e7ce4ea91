package io.microsnap.store;

import io.microsnap.core.GuestLayout;
import io.microsnap.core.SnapshotId;
import io.microsnap.core.SnapshotReference;
import io.microsnap.store.internal.StoredSnapshot;
import java.io.IOException;

/**
 * A snapshot that is in use, with the bases it requires. As long as it is held nobody deletes or replaces it, unless
 * by force, and even then its holder keeps what it has opened. Closing it lets go.
 */
public sealed interface HeldSnapshot extends AutoCloseable permits StoredSnapshot {
    /** Returns what the snapshot says of itself. */
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
