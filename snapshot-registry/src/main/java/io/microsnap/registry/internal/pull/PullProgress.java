package io.microsnap.registry.internal.pull;

import io.microsnap.core.CancelledException;
import io.microsnap.core.Progress;
import java.util.concurrent.atomic.AtomicLong;

/** How far a pull of several snapshots has come. Any thread may count; the one that pulls tells. */
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

    /** So much is done in all: for what is counted in another way than it was foreseen. */
    void reached(long bytes) {
        doneBytes.set(bytes);
    }

    /** Tells the listener, which may end the pull. */
    void tell() throws CancelledException {
        toldBytes = Math.max(toldBytes, Math.min(totalBytes, doneBytes.get()));
        listener.advanced(toldBytes, totalBytes);
    }
}
