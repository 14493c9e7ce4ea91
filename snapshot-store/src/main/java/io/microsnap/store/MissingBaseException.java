package io.microsnap.store;

import io.microsnap.core.SnapshotException;
import io.microsnap.core.SnapshotReference;

/** The base that a snapshot requires is not in the store, or another snapshot has taken its name. */
public final class MissingBaseException extends SnapshotException {
    private static final long serialVersionUID = 1L;

    private final transient SnapshotReference base;

    /** The message names the snapshot and its base, and says why that is missing. */
    public MissingBaseException(String snapshot, SnapshotReference base, String why) {
        super(snapshot + " requires the base " + base + ", " + why);
        this.base = base;
    }

    /** Returns the base that is missing. */
    public SnapshotReference base() {
        return base;
    }
}
