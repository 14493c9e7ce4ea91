package io.microsnap.core;

/** What to do where the name of what is written, a file or a snapshot, is taken already. */
public enum IfExists {
    /** Leave what is there, and fail with {@link java.nio.file.FileAlreadyExistsException}. */
    REFUSE,
    /**
     * Puts the new one in its place, in one step. A snapshot that is in use, or that another one requires, is not
     * replaced. A process that has a replaced file open keeps it.
     */
    REPLACE,
    /** As {@link #REPLACE}, and also replaces a snapshot that is in use. */
    REPLACE_EVEN_IF_HELD
}
