package io.microsnap.memory;

import java.time.Duration;

/**
 * What was copied while the guest ran, before the pause.
 *
 * @param rounds how many rounds there were
 * @param bytesCopied bytes written to the filesystem, in all rounds
 * @param pagesCopied pages that were examined, in all rounds
 * @param pagesAgain those of them that an earlier round had examined, too
 * @param writtenBack whether the image was written back before the last rounds, because the kernel would otherwise have
 * begun that during the pause
 * @param ended why there was no further round
 * @param time from the first round to the last
 */
public record CopiedAhead(int rounds, long bytesCopied, long pagesCopied, long pagesAgain, boolean writtenBack,
        Ended ended, Duration time) {
    /** Why there was no further round. */
    public enum Ended {
        /** The last one was small enough. */
        ENOUGH,
        /** The last one was no smaller than the one before: the guest writes as fast as it is copied. */
        NO_SMALLER,
        /** The limit of rounds was reached; the guest may write faster than it can be copied. */
        MOST_ROUNDS,
        /** Returns the listener said so. */
        ASKED
    }

    CopiedAhead and(CopiedAhead later) {
        return new CopiedAhead(rounds + later.rounds, bytesCopied + later.bytesCopied,
                pagesCopied + later.pagesCopied, pagesAgain + later.pagesAgain, writtenBack || later.writtenBack,
                later.ended, time.plus(later.time));
    }
}
