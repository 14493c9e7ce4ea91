package io.microsnap.store;

/** What publication does if the store already has a snapshot of that id. */
public enum IfTaken {
    /** Publication throws {@link java.nio.file.FileAlreadyExistsException}. */
    REFUSE,
    /** The old one is replaced atomically, unless a process uses it or another snapshot requires it. */
    REPLACE,
    /** As {@link #REPLACE}, in use or not: a process that has its files open keeps them. */
    REPLACE_EVEN_IF_HELD
}
