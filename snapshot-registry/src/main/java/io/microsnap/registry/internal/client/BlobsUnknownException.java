package io.microsnap.registry.internal.client;

import io.microsnap.core.SnapshotException;

/** A registry refused a manifest because its garbage collection removed blobs meanwhile. */
public final class BlobsUnknownException extends SnapshotException {
    private static final long serialVersionUID = 1L;

    /** Makes the exception; the message names the refused manifest. */
    public BlobsUnknownException(String message) {
        super(message);
    }
}
