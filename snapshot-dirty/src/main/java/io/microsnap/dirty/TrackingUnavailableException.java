package io.microsnap.dirty;

import io.microsnap.core.SnapshotException;

/** This system lacks what a source needs. Captures work without the source: they are full, or compare. */
public final class TrackingUnavailableException extends SnapshotException {
    private static final long serialVersionUID = 1L;

    /** Makes the exception; the message says why. */
    public TrackingUnavailableException(String message, Throwable cause) {
        super(message, cause);
    }
}
