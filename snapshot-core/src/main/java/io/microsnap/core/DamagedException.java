package io.microsnap.core;

/** Something read from disk is not what was written there: its form, its length or its checksum is wrong. */
public final class DamagedException extends SnapshotException {
    private static final long serialVersionUID = 1L;

    /** Makes the exception; the message names the file and the place in it. */
    public DamagedException(String message) {
        super(message);
    }

    /** The message names the file and the place in it. */
    public DamagedException(String message, Throwable cause) {
        super(message, cause);
    }
}
