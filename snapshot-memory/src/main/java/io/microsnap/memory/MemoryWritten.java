package io.microsnap.memory;

import java.time.Duration;

/**
 * What one writing of guest memory came to.
 *
 * @param pagesOffered pages that were looked at: all of a guest, or those its bitmap named
 * @param pagesRecorded pages that the image now holds as its own
 * @param pagesZero those of them that are zero
 * @param bytesWritten bytes handed to the filesystem
 * @param pagesDamagedInBase pages compared with a base whose image does not hold what its index says of them; the new
 *     image holds them itself
 * @param time from the first page to the last
 */
public record MemoryWritten(long pagesOffered, long pagesRecorded, long pagesZero, long bytesWritten,
        long pagesDamagedInBase, Duration time) {
}
