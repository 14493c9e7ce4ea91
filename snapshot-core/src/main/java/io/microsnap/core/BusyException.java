package io.microsnap.core;

/**
 * Something is in use by another caller, in this process or another: a snapshot, a store, a guest's dirty tracker.
 * Nothing was changed; the same call succeeds once the use has ended.
 */
public final class BusyException extends SnapshotException {
    private static final long serialVersionUID = 1L;

    /** Makes the exception; the message names what is in use, by which user as far as that is known, and what to do. */
    public BusyException(String message) {
        super(message);
    }
}
