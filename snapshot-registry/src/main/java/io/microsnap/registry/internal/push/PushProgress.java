package io.microsnap.registry.internal.push;

import io.microsnap.core.CancelledException;
import io.microsnap.core.Progress;

/** How far a push has come: through images by how far they were read, with files when they are there. */
final class PushProgress {
    private final Progress listener;
    private final long totalBytes;
    private long finishedBytes;
    private long reachedBytes;

    PushProgress(Progress listener, long totalBytes) {
        this.listener = listener;
        this.totalBytes = totalBytes;
    }

    /** So much of the image that is under way was gone through. */
    void reached(long imageBytes) throws CancelledException {
        reachedBytes = Math.max(reachedBytes, imageBytes);
        check();
    }

    /** A file, or all of an image, is in the registry. */
    void finished(long lengthBytes) throws CancelledException {
        finishedBytes += lengthBytes;
        reachedBytes = 0;
        check();
    }

    /** Gives the listener the opportunity to end the push. */
    void check() throws CancelledException {
        listener.advanced(Math.min(totalBytes, finishedBytes + reachedBytes), totalBytes);
    }
}
