package io.microsnap.registry.internal.pull;

import io.microsnap.core.CancelledException;
import io.microsnap.core.Progress;
import java.util.concurrent.atomic.AtomicLong;

/** The progress of a pull of several snapshots. Any thread may count; the pulling thread reports. */
final class PullProgress {
    private final Progress listener;
    private final long totalBytes;
    private final AtomicLong doneBytes = new AtomicLong();
    private long toldBytes;

    PullProgress(Progress listener, long totalBytes) {
        this.listener = listener;
        this.totalBytes = totalBytes;
    }

    void done(long lengthBytes) {
        doneBytes.addAndGet(lengthBytes);
    }

    /** Sets the total that is done, if it differs from the counted parts. */
    void reached(long bytes) {
        doneBytes.set(bytes);
    }

    /** Reports to the listener, which may end the pull. */
    void tell() throws CancelledException {
        toldBytes = Math.max(toldBytes, Math.min(totalBytes, doneBytes.get()));
        listener.advanced(toldBytes, totalBytes);
    }
}
