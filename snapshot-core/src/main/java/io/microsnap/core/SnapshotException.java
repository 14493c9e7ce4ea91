package io.microsnap.core;

import java.io.IOException;

/**
 * The common type of microsnap's own failures. The message says what happened, to which file or snapshot and where in
 * it, why, and what the reader can do. Failures for which {@code java.nio.file} has an exception (a missing file, no
 * permission, a name already taken) are thrown as that instead.
 */
public class SnapshotException extends IOException {
    private static final long serialVersionUID = 1L;

    /** The message says what happened, where, why, and what the reader can do. */
    public SnapshotException(String message) {
        super(message);
    }

    /** The message says what happened, where, why, and what the reader can do. */
    public SnapshotException(String message, Throwable cause) {
        super(message, cause);
    }
}
