package io.microsnap.registry.internal.client;

import io.microsnap.core.SnapshotException;

/** A registry refused a manifest because it lacks blobs that it had: they were collected meanwhile. */
public final class BlobsUnknownException extends SnapshotException {
    private static final long serialVersionUID = 1L;

    /** Says which manifest was refused. */
    public BlobsUnknownException(String message) {
        super(message);
    }
}
