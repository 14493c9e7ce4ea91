package io.microsnap.dirty;

import io.microsnap.core.SnapshotException;

/** A tracker was to be used by a capture while an earlier one is neither published nor closed. */
public final class CaptureOutstandingException extends SnapshotException {
    private static final long serialVersionUID = 1L;

    CaptureOutstandingException() {
        super("an earlier capture of this guest is not yet published; publish or close it, then capture again"
                + " (where it is lost, abandonCapture() of the tracker frees it)");
    }
}
