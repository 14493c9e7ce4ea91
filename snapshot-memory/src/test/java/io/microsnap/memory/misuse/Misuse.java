package io.microsnap.memory.misuse;

import io.microsnap.core.SnapshotId;
import io.microsnap.memory.InMemoryPageReader;
import io.microsnap.store.SnapshotStore;
import java.util.SplittableRandom;

/**
 * One way to use the library wrongly, or in bad conditions. A round may meet any exception that says what was wrong; it
 * throws where a guest got wrong bytes or something else happened that must not. It closes what it opened.
 */
interface Misuse {
    /** A complete snapshot. */
    SnapshotId BASE = new SnapshotId("base");
    /** A diff of scattered pages against it. */
    SnapshotId DIFF = new SnapshotId("diff");

    /**
     * Makes one round.
     *
     * @param store holds {@link #BASE} and {@link #DIFF}, and nothing else before and after a round
     * @param guest what {@link #DIFF} holds; not to be changed
     * @param random the source of everything random
     */
    void round(SnapshotStore store, InMemoryPageReader guest, SplittableRandom random) throws Exception;

    /** Any of these. */
    static <T> T oneOf(T[] choices, SplittableRandom random) {
        return choices[random.nextInt(choices.length)];
    }

    /** Throws unless something holds. */
    static void require(boolean holds, String otherwise) {
        if (!holds) {
            throw new AssertionError(otherwise);
        }
    }
}
