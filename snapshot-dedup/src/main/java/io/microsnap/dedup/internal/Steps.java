package io.microsnap.dedup.internal;

import io.microsnap.core.CancelledException;
import io.microsnap.core.Progress;
import java.util.concurrent.atomic.AtomicLong;

/** Counts the work of several threads; the calling thread reports it. */
public final class Steps {
    private final Progress progress;
    private final long totalBytes;
    private final Thread teller = Thread.currentThread();
    private final AtomicLong done = new AtomicLong();

    public Steps(Progress progress, long totalBytes) {
        this.progress = progress;
        this.totalBytes = totalBytes;
    }

    /** Adds finished work. Any thread may call this. */
    public void did(long bytes) throws CancelledException {
        reached(done.addAndGet(bytes));
    }

    /** Raises the count to this much, if it is lower. */
    public void atLeast(long bytes) throws CancelledException {
        reached(done.accumulateAndGet(bytes, Math::max));
    }

    /** Returns steps for repeated work: they count nothing, but interrupting the caller still stops the work. */
    public Steps silent() {
        return new Steps(Progress.NONE, totalBytes);
    }

    /** Throws if the calling thread is interrupted. */
    public static void requireNotInterrupted() throws CancelledException {
        if (Thread.currentThread().isInterrupted()) {
            throw new CancelledException("interrupted; unfinished images are as they were before");
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
