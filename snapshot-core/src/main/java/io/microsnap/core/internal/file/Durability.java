package io.microsnap.core.internal.file;

import io.microsnap.core.internal.posix.Descriptor;
import java.io.IOException;

/** What is promised of a file that becomes visible, should the power fail afterwards. */
public enum Durability {
    /** Nothing: other processes see the old file or the new one, whole; after a power failure it may be anything. */
    NONE,
    /**
     * The name holds the old file or the new one, whole; which of them is not known until the system writes its
     * directories. On macOS a barrier, which costs a fraction of a full flush.
     */
    DATA,
    /** The new file, whole, from the moment the call returns. */
    FULL;

    /** Does for a file's content what the level asks; a failure is final for the file. */
    public void sync(Descriptor file) throws IOException {
        switch (this) {
            case NONE -> { }
            case DATA -> file.syncData();
            case FULL -> file.sync();
        }
    }
}
