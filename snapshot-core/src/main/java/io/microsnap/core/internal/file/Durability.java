package io.microsnap.core.internal.file;

import io.microsnap.core.internal.posix.Descriptor;
import java.io.IOException;

/** The guarantee for a newly visible file if the power fails afterwards. */
public enum Durability {
    /**
     * No guarantee: other processes see the whole old or new file, but after a power failure the content is undefined.
     */
    NONE,
    /**
     * The name holds the whole old or the whole new file; which one is undefined until the system writes its
     * directories. On macOS this is a barrier, which costs a fraction of a full flush.
     */
    DATA,
    /** The new file, whole, from the moment the call returns. */
    FULL;

    /** Syncs a file's content as this level requires. A failure is final for the file. */
    public void sync(Descriptor file) throws IOException {
        switch (this) {
            case NONE -> { }
            case DATA -> file.syncData();
            case FULL -> file.sync();
        }
    }
}
