package io.microsnap.store;

/** What publication does when a snapshot of that id is already there. */
public enum IfTaken {
    /** It is a {@link java.nio.file.FileAlreadyExistsException}. */
    REFUSE,
    /** The old one is replaced, atomically, unless somebody uses it or another snapshot requires it. */
    REPLACE,
    /** As {@link #REPLACE}, in use or not: a process that has its files open keeps them. */
    REPLACE_EVEN_IF_HELD
}
