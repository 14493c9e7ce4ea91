package io.microsnap.store;

/** What deletion does with a snapshot that somebody uses, or may need. */
public enum IfHeld {
    /** It is a {@link SnapshotInUseException}, or a {@link DependentsUnknownException}. */
    REFUSE,
    /**
     * It is deleted all the same, by force: those that have its files open keep them, and a diff that needs it, but
     * whose manifest cannot be read, is lost. One whose manifest says that it needs it still protects it.
     */
    DELETE
}
