package io.microsnap.vmm;

import io.microsnap.core.SnapshotException;
import java.io.IOException;
import java.util.ArrayDeque;
import java.util.Deque;

/** Closes what is open, last opened first, and goes on when one of them fails. */
final class Closing {
    private final Deque<AutoCloseable> open = new ArrayDeque<>();

    <T extends AutoCloseable> T add(T closeable) {
        open.push(closeable);
        return closeable;
    }

    void close() throws IOException {
        IOException first = null;
        while (!open.isEmpty()) {
            try {
                open.pop().close();
            } catch (Exception failure) {
                if (first != null) {
                    first.addSuppressed(failure);
                } else {
                    first = failure instanceof IOException io ? io : new SnapshotException(failure.getMessage(),
                            failure);
                }
            }
        }
        if (first != null) {
            throw first;
        }
    }

    void closeAfter(Throwable failure) {
        try {
            close();
        } catch (IOException second) {
            failure.addSuppressed(second);
        }
    }
}
