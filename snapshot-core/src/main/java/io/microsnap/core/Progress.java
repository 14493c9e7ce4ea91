package io.microsnap.core;

/**
 * Hears how far a long operation has come, and may stop it: an operation whose listener throws undoes what it began
 * and passes the exception on. Called from the thread that works, often enough to draw a bar, seldom enough not to
 * cost anything.
 */
@FunctionalInterface
public interface Progress {
    /** Hears nothing, stops nothing. */
    Progress NONE = (doneBytes, totalBytes) -> { };

    /**
     * Tells how much is done.
     *
     * @param doneBytes never less than the time before, at most the total
     * @param totalBytes the same each time
     * @throws CancelledException to stop the operation
     */
    void advanced(long doneBytes, long totalBytes) throws CancelledException;
}
