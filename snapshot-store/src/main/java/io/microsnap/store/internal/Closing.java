package io.microsnap.store.internal;

import io.microsnap.core.internal.posix.Descriptor;
import java.io.Closeable;
import java.io.IOException;

/** Closes many things: one that fails does not keep the others open. */
final class Closing {
    private static final System.Logger LOG = System.getLogger(DirectoryStore.class.getName());

    private IOException failure;

    /** Something whose closing may fail. */
    interface Step {
        void run() throws IOException;
    }

    /** What was just opened, once a step has made it ready; closed if that fails. */
    static <T extends Closeable> T readyOrClosed(T opened, Step step) throws IOException {
        try {
            step.run();
            return opened;
        } catch (IOException | RuntimeException failure) {
            try (opened) {
                throw failure;
            }
        }
    }

    void step(Step step) {
        try {
            step.run();
        } catch (IOException e) {
            if (failure == null) {
                failure = e;
            } else {
                failure.addSuppressed(e);
            }
        }
    }

    void close(Descriptor descriptor) {
        step(descriptor::close);
    }

    void close(StoredSnapshot held) {
        step(held::close);
    }

    /** Closing files whose content is safe, or was only read: a failure changes nothing. */
    void quietly() {
        if (failure != null) {
            LOG.log(System.Logger.Level.DEBUG, "closing failed", failure);
        }
    }

    void finish() throws IOException {
        if (failure != null) {
            throw failure;
        }
    }
}
