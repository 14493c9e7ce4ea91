package io.microsnap.dirty;

import io.microsnap.core.SnapshotException;

/** A tracker was harvested while an earlier epoch of it was neither committed nor given back. */
public final class CaptureOutstandingException extends SnapshotException {
    private static final long serialVersionUID = 1L;

    CaptureOutstandingException() {
        super("an earlier capture of this guest is not yet published; publish or abandon it, then capture again");
    }
}
