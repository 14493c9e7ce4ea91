package io.microsnap.dirty;

import io.microsnap.core.SnapshotException;
import io.microsnap.core.SnapshotReference;

/** A caller tried to use an epoch with a snapshot other than the one it is relative to. */
final class OtherBaseException extends SnapshotException {
    private static final long serialVersionUID = 1L;

    OtherBaseException(SnapshotReference relativeTo, SnapshotReference base) {
        super("what changed is known since snapshot " + relativeTo + ", not since " + base
                + "; capture against the former, or in full");
    }

    OtherBaseException(String reason, SnapshotReference base) {
        super("what changed since snapshot " + base + " is not known: " + reason
                + "; compare with it, or capture in full");
    }
}
