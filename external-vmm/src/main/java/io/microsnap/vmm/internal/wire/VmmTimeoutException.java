package io.microsnap.vmm.internal.wire;

import io.microsnap.core.SnapshotException;

/** A VMM did not answer in time. */
public final class VmmTimeoutException extends SnapshotException {
    private static final long serialVersionUID = 1L;

    VmmTimeoutException(String message) {
        super(message);
    }
}
