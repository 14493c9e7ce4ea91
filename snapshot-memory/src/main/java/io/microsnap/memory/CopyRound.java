package io.microsnap.memory;

import java.time.Duration;

/**
 * One round of copying ahead.
 *
 * @param number 1 for the first
 * @param pages pages that were looked at: what the guest wrote during the round before, or what the first one has to
 * @param pagesAgain those of them that an earlier round had looked at, too
 * @param bytesCopied bytes handed to the filesystem
 * @param harvest how long it took to ask the dirty tracker
 * @param copy how long the copying took, save what it waited for the rate limit
 */
public record CopyRound(int number, long pages, long pagesAgain, long bytesCopied, Duration harvest, Duration copy) {
}
