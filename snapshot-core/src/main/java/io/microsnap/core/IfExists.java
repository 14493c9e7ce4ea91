package io.microsnap.core;

/** What to do where the destination's name is already taken by a file. */
public enum IfExists {
    /** Leaves the file, and fails with {@link java.nio.file.FileAlreadyExistsException}. */
    REFUSE,
    /** Replaces the file in one step. */
    REPLACE
}
