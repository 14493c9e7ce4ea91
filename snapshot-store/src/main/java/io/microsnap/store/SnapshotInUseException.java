package io.microsnap.store;

import io.microsnap.core.SnapshotException;
import io.microsnap.core.SnapshotId;

/**
 * A snapshot cannot be deleted or replaced now, because a process uses it; or it cannot be used, because a process is
 * deleting it.
 */
public final class SnapshotInUseException extends SnapshotException {
    private static final long serialVersionUID = 1L;

    /** Makes the exception; the message has the id and the reason. */
    public SnapshotInUseException(SnapshotId id, String why) {
        super(id + " " + why);
    }
}
