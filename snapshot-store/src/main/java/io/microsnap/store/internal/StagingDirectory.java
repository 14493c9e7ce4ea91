package io.microsnap.store.internal;

import io.microsnap.core.internal.posix.Descriptor;
import java.io.IOException;

/** A private directory in the staging area, locked by its owner. Closing removes it, unless it was renamed away. */
final class StagingDirectory implements AutoCloseable {
    private final StagingArea area;
    private final String name;
    private final Descriptor descriptor;
    private boolean gone;

    StagingDirectory(StagingArea area, String name, Descriptor descriptor) {
        this.area = area;
        this.name = name;
        this.descriptor = descriptor;
    }

    Descriptor descriptor() {
        return descriptor;
    }

    String name() {
        return name;
    }

    /** Notes that the directory was renamed away: closing must not remove its old name. */
    void renamedAway() {
        gone = true;
    }

    /** Notes that the directory was renamed back: closing removes it. */
    void renamedBack() {
        gone = false;
    }

    boolean isGone() {
        return gone;
    }

    /** Removes the tree while the lock is still held; closing the descriptor releases it. */
    @Override
    public void close() throws IOException {
        try {
            if (!gone) {
                gone = true;
                area.remove(name);
            }
        } finally {
            descriptor.close();
        }
    }
}
