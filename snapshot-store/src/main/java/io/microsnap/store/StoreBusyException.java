package io.microsnap.store;

import io.microsnap.core.SnapshotException;
import java.time.Duration;

/** Another process has been changing the store for longer than this one may wait. Nothing was changed. */
public final class StoreBusyException extends SnapshotException {
    private static final long serialVersionUID = 1L;

    /** The message names the store, the process that has its lock, and how long this one waited. */
    public StoreBusyException(String store, String holder, Duration waited) {
        super(store + " is being changed by " + holder + ", for which this process waited " + waited.toMillis()
                + " ms; retry, wait longer, or check whether that process is stopped or hangs");
    }
}
