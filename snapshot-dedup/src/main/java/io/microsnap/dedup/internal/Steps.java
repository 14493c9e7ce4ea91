package io.microsnap.dedup.internal;

import io.microsnap.core.CancelledException;
import io.microsnap.core.Progress;
import java.util.concurrent.atomic.AtomicLong;

/** Counts what several threads do; the one that was called tells its caller. */
public final class Steps {
    private final Progress progress;
    private final long totalBytes;
    private final Thread teller = Thread.currentThread();
    private final AtomicLong done = new AtomicLong();

    public Steps(Progress progress, long totalBytes) {
        this.progress = progress;
        this.totalBytes = totalBytes;
    }

    /** From any thread: so much more is done. */
    public void did(long bytes) throws CancelledException {
        reached(done.addAndGet(bytes));
    }

    /** So much is done, even if not all of it was counted. */
    public void atLeast(long bytes) throws CancelledException {
        reached(done.accumulateAndGet(bytes, Math::max));
    }

    /** For work that is done again: nothing is counted, but the caller can still stop it by interrupting. */
    public Steps silent() {
        return new Steps(Progress.NONE, totalBytes);
    }

    /** Stops when the calling thread is interrupted. */
    public static void requireNotInterrupted() throws CancelledException {
        if (Thread.currentThread().isInterrupted()) {
            throw new CancelledException("interrupted; what was not finished is as it was before");
        }
    }

    private void reached(long bytes) throws CancelledException {
        if (Thread.currentThread() != teller) {
            return;
        }
        requireNotInterrupted();
        progress.advanced(Math.min(bytes, totalBytes), totalBytes);
    }
}
