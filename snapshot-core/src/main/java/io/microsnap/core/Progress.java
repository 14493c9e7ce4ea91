package io.microsnap.core;

/**
 * Receives the progress of a long operation, and may stop it: when the listener throws, the operation undoes what it
 * began and passes the exception on. The working thread calls it, often enough to draw a bar and rarely enough to cost
 * nothing.
 */
@FunctionalInterface
public interface Progress {
    /** Ignores the progress and never stops the operation. */
    Progress NONE = (doneBytes, totalBytes) -> { };

    /**
     * Reports how much is done.
     *
     * @param doneBytes never less than the time before, at most the total
     * @param totalBytes the same each time
     * @throws CancelledException to stop the operation
     */
    void advanced(long doneBytes, long totalBytes) throws CancelledException;
}
