package io.microsnap.store;

/** What deletion does with a snapshot that is in use, or that another snapshot may need. */
public enum IfHeld {
    /** Deletion throws {@link SnapshotInUseException} or {@link DependentsUnknownException}. */
    REFUSE,
    /**
     * The snapshot is deleted by force: processes that have its files open keep them, and a diff that needs it is lost
     * if that diff's manifest cannot be read. A diff with a readable manifest still protects its base.
     */
    DELETE
}
