package io.microsnap.dedup;

import io.microsnap.core.internal.posix.Descriptor;
import io.microsnap.core.internal.posix.Stat;
import java.io.IOException;

/** Makes new files for a target, and replaces the target by one: in a directory, or in a store. */
interface Workplace {
    /** Lends an empty file on the target's filesystem, open for reading and writing, that never becomes visible. */
    void withScratchFile(Use use) throws IOException;

    /** Returns whether a process is known to have the target open, or may open it through another snapshot. */
    boolean isTargetInUse();

    /**
     * Begins an image that will replace the target, as a clone of the canonical one. Throws {@link
     * NotDeduplicatedException} if that is impossible.
     */
    Successor clone(Descriptor canonical) throws IOException;

    /** Uses a lent file. */
    @FunctionalInterface
    interface Use {
        void accept(Descriptor file) throws IOException;
    }

    /** A new image that is not visible yet. Closing it before it has replaced the target removes it. */
    interface Successor extends AutoCloseable {
        Descriptor descriptor();

        /**
         * Makes it durable and replaces the target by it; returns false if the target is no longer the expected file.
         */
        boolean takePlaceOf(Stat expected) throws IOException;

        @Override
        void close() throws IOException;
    }
}
