package io.microsnap.memory;

import java.time.Duration;

/**
 * Counts of one writing of guest memory.
 *
 * @param pagesOffered pages that were examined: all of a guest, or those its bitmap named
 * @param pagesRecorded pages that the image now holds as its own
 * @param pagesZero those of them that are zero
 * @param bytesWritten bytes written to the filesystem
 * @param pagesDamagedInBase pages that do not match the index in the base's image; the new image holds them itself
 * @param time from the first page to the last, without waits for a rate limit
 */
public record MemoryWritten(long pagesOffered, long pagesRecorded, long pagesZero, long bytesWritten,
        long pagesDamagedInBase, Duration time) {
}
