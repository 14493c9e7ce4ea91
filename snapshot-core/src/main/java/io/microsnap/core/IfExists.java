package io.microsnap.core;

/** What to do where the destination's name is already taken by a file. */
public enum IfExists {
    /** Leave it, and fail with {@link java.nio.file.FileAlreadyExistsException}. */
    REFUSE,
    /** Put the new file in its place, in one step. */
    REPLACE
}
