package io.microsnap.core.internal.work;

import java.io.IOException;
import java.util.ArrayDeque;
import java.util.Deque;

/** Things to be closed together, the last one first, each even when another fails. */
public final class Closing implements AutoCloseable {
    private final Deque<AutoCloseable> open = new ArrayDeque<>();

    /** Takes one more, to be closed before those taken already. */
    public <T extends AutoCloseable> T add(T closeable) {
        open.push(closeable);
        return closeable;
    }

    /** Closes one of them ahead of the others. */
    public void closeNow(AutoCloseable closeable) throws IOException {
        open.remove(closeable);
        try {
            closeable.close();
        } catch (IOException | RuntimeException failure) {
            throw failure;
        } catch (Exception failure) {
            throw new IOException(failure);
        }
    }

    /** Closes them because of a failure, which is told what goes wrong meanwhile. */
    public void closeAfter(Throwable failure) {
        try {
            close();
        } catch (Throwable closing) {
            failure.addSuppressed(closing);
        }
    }

    @Override
    public void close() throws IOException {
        Throwable failure = null;
        while (!open.isEmpty()) {
            try {
                open.pop().close();
            } catch (Throwable closing) {
                if (failure == null) {
                    failure = closing;
                } else {
                    failure.addSuppressed(closing);
                }
            }
        }
        Failures.rethrow(failure);
    }
}
