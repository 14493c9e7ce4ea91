package io.microsnap.dirty;

import io.microsnap.core.SnapshotException;

/** A capture tried to use a tracker while an earlier capture is neither published nor closed. */
public final class CaptureOutstandingException extends SnapshotException {
    private static final long serialVersionUID = 1L;

    CaptureOutstandingException() {
        super("an earlier capture of this guest is not yet published; publish or close it, then capture again"
                + " (if it is lost, call abandonCapture() on the tracker)");
    }
}
