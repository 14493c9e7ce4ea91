package io.microsnap.store;

import io.microsnap.core.internal.posix.Constants;
import io.microsnap.core.internal.posix.Descriptor;
import java.io.IOException;

/** The store's lock: publish, delete and recovery exclude each other, across processes and threads. */
final class StoreLock implements AutoCloseable {
    private static final String NAME = ".lock";

    private final Descriptor file;

    private StoreLock(Descriptor file) {
        this.file = file;
    }

    static boolean isLock(String name) {
        return name.equals(NAME);
    }

    /** Waits for whoever has it. */
    static StoreLock acquire(Descriptor root, StoreOptions options) throws IOException {
        Constants constants = root.posix().constants();
        Descriptor file = root.openAt(NAME, constants.O_RDWR | constants.O_CREAT, options.fileMode());
        try {
            file.lock();
            return new StoreLock(file);
        } catch (IOException | RuntimeException failure) {
            try (file) {
                throw failure;
            }
        }
    }

    /** Gives it back. What was done under it is done, whatever closing says. */
    @Override
    public void close() {
        Closing closing = new Closing();
        closing.close(file);
        closing.quietly();
    }
}
