package io.microsnap.memory;

import java.time.Duration;

/**
 * One round of copying ahead.
 *
 * @param number 1 for the first
 * @param pages pages that were examined: those that the guest wrote during the round before, or all that the first
 * round must copy
 * @param pagesAgain those of them that an earlier round had examined, too
 * @param bytesCopied bytes written to the filesystem
 * @param harvest how long harvesting the dirty tracker took
 * @param copy how long the copying took, without waits for the rate limit
 */
public record CopyRound(int number, long pages, long pagesAgain, long bytesCopied, Duration harvest, Duration copy) {
}
