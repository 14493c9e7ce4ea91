package io.microsnap.memory;

import java.time.Duration;
import java.util.Objects;
import java.util.OptionalLong;

/**
 * How a capture copies memory ahead of the pause, while the guest runs: in rounds, each of which copies what the guest
 * wrote during the one before. The pause then copies what it wrote during the last one.
 *
 * <p>It ends when a round was small enough, when a round did not get any smaller, after so many rounds, or when the
 * listener says so; the snapshot is right whichever it was, and only the pause differs.
 *
 * @param mostRounds after so many rounds it ends
 * @param enoughBytes a round that copied no more than this was small enough
 * @param enoughTime a round that was copied in no more than this was small enough: the pause needs about as long
 * @param mostBytesASecond how much guest memory the rounds read in a second; empty for as much as they can
 * @param listener hears of each round
 */
public record CopyAhead(int mostRounds, long enoughBytes, Duration enoughTime, OptionalLong mostBytesASecond,
        Listener listener) {
    private static final int ROUNDS = 10;
    private static final long ENOUGH_BYTES = 256 << 10;
    private static final Duration ENOUGH_TIME = Duration.ofMillis(1);
    private static final CopyAhead USUAL =
            new CopyAhead(ROUNDS, ENOUGH_BYTES, ENOUGH_TIME, OptionalLong.empty(), round -> true);

    /** Hears of rounds, between them, in the thread that copies. */
    @FunctionalInterface
    public interface Listener {
        /**
         * Tells of a round that is over.
         *
         * @return whether to go on; false makes this round the last one, and the pause may follow
         * @throws io.microsnap.core.CancelledException to give the capture up: nothing of it stays
         */
        boolean copied(CopyRound round) throws java.io.IOException;
    }

    /** Refuses limits that no round could keep to. */
    public CopyAhead {
        if (mostRounds < 1 || enoughBytes < 0 || enoughTime.isNegative()) {
            throw new IllegalArgumentException("at most " + mostRounds + " rounds, until " + enoughBytes + " bytes or "
                    + enoughTime + " are left: one round at least, and nothing below zero");
        }
        if (mostBytesASecond.isPresent() && mostBytesASecond.getAsLong() < 1) {
            throw new IllegalArgumentException(mostBytesASecond.getAsLong() + " bytes a second");
        }
        Objects.requireNonNull(listener);
    }

    /** Ten rounds at most, until one takes a millisecond or copies 256 KiB; as fast as it goes. */
    public static CopyAhead usual() {
        return USUAL;
    }

    /** The same with another number of rounds. */
    public CopyAhead rounds(int most) {
        return new CopyAhead(most, enoughBytes, enoughTime, mostBytesASecond, listener);
    }

    /** The same, ending with a round that copied at most so much. */
    public CopyAhead enough(long bytes) {
        return new CopyAhead(mostRounds, bytes, enoughTime, mostBytesASecond, listener);
    }

    /** The same, ending with a round that was copied in at most this time. */
    public CopyAhead enough(Duration time) {
        return new CopyAhead(mostRounds, enoughBytes, time, mostBytesASecond, listener);
    }

    /** The same, reading at most so much guest memory in a second: a slower copy leaves the guest more. */
    public CopyAhead bytesASecond(long most) {
        return new CopyAhead(mostRounds, enoughBytes, enoughTime, OptionalLong.of(most), listener);
    }

    /** The same with another listener. */
    public CopyAhead listener(Listener hears) {
        return new CopyAhead(mostRounds, enoughBytes, enoughTime, mostBytesASecond, hears);
    }
}
