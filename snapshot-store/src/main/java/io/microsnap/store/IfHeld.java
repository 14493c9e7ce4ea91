package io.microsnap.store;

/** What deletion does with a snapshot that somebody uses. */
public enum IfHeld {
    /** It is a {@link SnapshotInUseException}. */
    REFUSE,
    /** It is deleted all the same: whoever has its files open keeps them. */
    DELETE
}
