package io.microsnap.store.internal;

import io.microsnap.core.SnapshotException;
import io.microsnap.core.SnapshotId;
import io.microsnap.store.SnapshotStore;

/** A snapshot's chain of required bases is longer than {@link SnapshotStore#LONGEST_CHAIN} allows. */
public final class ChainTooLongException extends SnapshotException {
    private static final long serialVersionUID = 1L;

    public ChainTooLongException(SnapshotId id) {
        super(message(id));
    }

    public static String message(SnapshotId id) {
        return id + " requires too long a chain of bases: a chain has at most " + SnapshotStore.LONGEST_CHAIN
                + " snapshots; use one further down its chain, and capture in full instead of a diff";
    }
}
