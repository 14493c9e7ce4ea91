package io.microsnap.registry.internal.push;

import io.microsnap.core.CancelledException;
import io.microsnap.core.Progress;

/** The progress of a push: images count as they are read, files once the registry has them. */
final class PushProgress {
    private final Progress listener;
    private final long totalBytes;
    private long finishedBytes;
    private long reachedBytes;

    PushProgress(Progress listener, long totalBytes) {
        this.listener = listener;
        this.totalBytes = totalBytes;
    }

    /** Reports how much of the current image was read. */
    void reached(long imageBytes) throws CancelledException {
        reachedBytes = Math.max(reachedBytes, imageBytes);
        check();
    }

    /** Reports that a file, or all of an image, is in the registry. */
    void finished(long lengthBytes) throws CancelledException {
        finishedBytes += lengthBytes;
        reachedBytes = 0;
        check();
    }

    /** Lets the listener end the push. */
    void check() throws CancelledException {
        listener.advanced(Math.min(totalBytes, finishedBytes + reachedBytes), totalBytes);
    }
}
