package io.microsnap.core;

/** The caller stopped the operation through its {@link Progress}; everything is as it was before. */
public final class CancelledException extends SnapshotException {
    private static final long serialVersionUID = 1L;

    /** Makes the exception; the message names the operation that was stopped. */
    public CancelledException(String message) {
        super(message);
    }
}
