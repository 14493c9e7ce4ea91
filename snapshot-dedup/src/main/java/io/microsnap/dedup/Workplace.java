package io.microsnap.dedup;

import io.microsnap.core.file.StagedFile;
import io.microsnap.core.posix.Descriptor;
import io.microsnap.core.posix.Stat;
import java.io.IOException;

/** Where a target's new blocks are made, and how a new image takes its place: in a directory, or in a store. */
interface Workplace {
    /** A file without a name on the target's filesystem, open for reading and writing; gone when it is closed. */
    Descriptor namelessFile() throws IOException;

    /** Whether another file may take the target's place. */
    boolean mayReplaceTarget();

    /** Begins an image that is to take the target's place; closed without a commit, it is gone. */
    Staged stage() throws IOException;

    /** A new image that nobody sees yet. */
    interface Staged extends AutoCloseable {
        StagedFile file();

        /** Makes it durable and puts it in the target's place; false if that is not what was expected any more. */
        boolean commit(Stat expected) throws IOException;

        @Override
        void close() throws IOException;
    }
}
