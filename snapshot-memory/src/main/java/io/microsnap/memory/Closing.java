package io.microsnap.memory;

import java.io.IOException;
import java.util.ArrayDeque;
import java.util.Deque;

/** Things to be closed together, the last one first, each even when another fails. */
final class Closing implements AutoCloseable {
    private final Deque<AutoCloseable> open = new ArrayDeque<>();

    <T extends AutoCloseable> T add(T closeable) {
        open.push(closeable);
        return closeable;
    }

    /** Closes one of them ahead of the others. */
    void closeNow(AutoCloseable closeable) throws IOException {
        open.remove(closeable);
        try {
            closeable.close();
        } catch (IOException | RuntimeException failure) {
            throw failure;
        } catch (Exception failure) {
            throw new IOException(failure);
        }
    }

    void closeAfter(Throwable failure) {
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
        switch (failure) {
            case null -> { }
            case IOException thrown -> throw thrown;
            case RuntimeException thrown -> throw thrown;
            case Error thrown -> throw thrown;
            case Throwable thrown -> throw new IOException(thrown);
        }
    }
}
