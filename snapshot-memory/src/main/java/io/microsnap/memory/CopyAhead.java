package io.microsnap.memory;

import java.io.IOException;
import java.time.Duration;
import java.util.Objects;
import java.util.OptionalLong;

/**
 * How a capture copies memory ahead of the pause, while the guest runs. It copies in rounds: each copies what the guest
 * wrote during the one before, and the pause copies what the guest wrote during the last.
 *
 * <p>It ends when a round was small enough or no smaller than the one before, after the most rounds, or when the
 * listener says so. The snapshot is correct in each case; only the pause's length differs.
 *
 * @param mostRounds the most rounds
 * @param enoughBytes a round that copies no more than this is small enough
 * @param enoughTime a round that takes no longer than this is small enough: the pause takes about as long
 * @param mostBytesASecond how much guest memory the rounds read in a second; empty for no limit
 * @param listener receives each round
 */
public record CopyAhead(int mostRounds, long enoughBytes, Duration enoughTime, OptionalLong mostBytesASecond,
        Listener listener) {
    private static final int ROUNDS = 10;
    private static final long ENOUGH_BYTES = 256 << 10;
    private static final Duration ENOUGH_TIME = Duration.ofMillis(1);
    private static final CopyAhead USUAL =
            new CopyAhead(ROUNDS, ENOUGH_BYTES, ENOUGH_TIME, OptionalLong.empty(), (round, written) -> true);

    /** Receives finished rounds, in the copying thread. */
    @FunctionalInterface
    public interface Listener {
        /**
         * Reports a finished round.
         *
         * @param round 1 for the first
         * @param written what it copied: the pages that the guest wrote during the round before, or all that the first
         * round must copy
         * @return whether to continue; false makes this round the last one, and the pause may follow
         * @throws io.microsnap.core.CancelledException to abandon the capture, of which nothing stays
         */
        boolean copied(int round, MemoryWritten written) throws IOException;
    }

    /** Refuses limits that no round could meet. */
    public CopyAhead {
        if (mostRounds < 1 || enoughBytes < 0 || enoughTime.isNegative()) {
            throw new IllegalArgumentException("at most " + mostRounds + " rounds, until " + enoughBytes + " bytes or "
                    + enoughTime + " are left: give at least one round and no negative limit");
        }
        if (mostBytesASecond.isPresent() && mostBytesASecond.getAsLong() < 1) {
            throw new IllegalArgumentException(mostBytesASecond.getAsLong() + " bytes a second");
        }
        Objects.requireNonNull(listener);
    }

    /**
     * Returns the usual options: at most ten rounds, until one takes a millisecond or copies 256 KiB, without a rate
     * limit.
     */
    public static CopyAhead usual() {
        return USUAL;
    }

    /** Returns the same with another number of rounds. */
    public CopyAhead rounds(int most) {
        return new CopyAhead(most, enoughBytes, enoughTime, mostBytesASecond, listener);
    }

    /** Returns the same, ending with a round that copies at most this much. */
    public CopyAhead enough(long bytes) {
        return new CopyAhead(mostRounds, bytes, enoughTime, mostBytesASecond, listener);
    }

    /** Returns the same, ending with a round that takes at most this time. */
    public CopyAhead enough(Duration time) {
        return new CopyAhead(mostRounds, enoughBytes, time, mostBytesASecond, listener);
    }

    /** Returns the same, reading at most this much guest memory in a second: a slower copy slows the guest less. */
    public CopyAhead bytesASecond(long most) {
        return new CopyAhead(mostRounds, enoughBytes, enoughTime, OptionalLong.of(most), listener);
    }

    /** Returns the same with another listener. */
    public CopyAhead listener(Listener hears) {
        return new CopyAhead(mostRounds, enoughBytes, enoughTime, mostBytesASecond, hears);
    }
}
