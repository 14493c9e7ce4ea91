package io.microsnap.core.internal.work;

import java.io.IOException;
import java.lang.System.Logger;
import java.lang.System.Logger.Level;
import java.util.ArrayDeque;
import java.util.Deque;

/**
 * Resources that are closed together, the last one first, each even when another one fails. Closing allocates nothing,
 * so that it also works when the heap is full.
 */
public final class Closing implements AutoCloseable {
    private final Deque<AutoCloseable> open = new ArrayDeque<>();

    /** Makes a resource ready for use. */
    @FunctionalInterface
    public interface Step {
        void run() throws IOException;
    }

    /** Runs the step and returns the resource; closes the resource if the step fails. */
    public static <T extends AutoCloseable> T readyOrClosed(T opened, Step step) throws IOException {
        try {
            step.run();
            return opened;
        } catch (Throwable failure) {
            closeAfter(failure, opened);
            throw failure;
        }
    }

    /** Closes a resource because of a failure, and adds failures of closing to that failure as suppressed. */
    public static void closeAfter(Throwable failure, AutoCloseable resource) {
        try {
            resource.close();
        } catch (Throwable closing) {
            failure.addSuppressed(closing);
        }
    }

    /** Takes one more resource, to be closed before those taken already. */
    public <T extends AutoCloseable> T add(T closeable) {
        try {
            open.push(closeable);
            return closeable;
        } catch (Throwable failure) {
            closeAfter(failure, closeable);
            throw failure;
        }
    }

    /** Closes one of them ahead of the others. */
    public void closeNow(AutoCloseable closeable) throws IOException {
        open.remove(closeable);
        try {
            closeable.close();
        } catch (Throwable failure) {
            Failures.rethrow(failure);
        }
    }

    /** Closes the resources because of a failure, and adds failures of closing to that failure as suppressed. */
    public void closeAfter(Throwable failure) {
        closeAfter(failure, this);
    }

    /** Closes files that were only read, or whose content is safe: a failure changes nothing, and is only logged. */
    public void closeQuietly(Logger log) {
        try {
            close();
        } catch (IOException failure) {
            log.log(Level.DEBUG, "closing failed", failure);
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
