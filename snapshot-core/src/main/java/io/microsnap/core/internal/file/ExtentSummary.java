package io.microsnap.core.internal.file;

/**
 * A summary of a file's extents.
 *
 * @param extents how many there are: the price of scattered changes, paid by every later clone and sync
 * @param mappedBytes what they cover
 * @param sharedBytes how much of that other files use too; freeing this file would not free it
 */
public record ExtentSummary(long extents, long mappedBytes, long sharedBytes) {
    /** Returns the bytes that only this file uses. */
    public long exclusiveBytes() {
        return mappedBytes - sharedBytes;
    }
}
