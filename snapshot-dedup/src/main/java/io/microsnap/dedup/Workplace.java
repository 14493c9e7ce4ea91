package io.microsnap.dedup;

import io.microsnap.core.internal.posix.Descriptor;
import io.microsnap.core.internal.posix.Stat;
import java.io.IOException;

/** Where a target's new blocks are made, and how a new image takes its place: in a directory, or in a store. */
interface Workplace {
    /** Lends an empty file on the target's filesystem, open for reading and writing, that nobody will ever see. */
    void withScratchFile(Use use) throws IOException;

    /** Whether another file may take the target's place. */
    boolean mayReplaceTarget();

    /**
     * Begins an image that is to take the target's place, as a clone of the canonical one. Fails with
     * {@link LeaveAlone} where that is impossible.
     */
    Successor clone(Descriptor canonical) throws IOException;

    /** What is done with a file that is lent. */
    @FunctionalInterface
    interface Use {
        void accept(Descriptor file) throws IOException;
    }

    /** A new image that nobody sees yet; closed before it has taken the target's place, it is gone. */
    interface Successor extends AutoCloseable {
        Descriptor descriptor();

        /** Makes it durable and puts it in the target's place; false if that is not what was expected any more. */
        boolean takePlaceOf(Stat expected) throws IOException;

        @Override
        void close() throws IOException;
    }
}
