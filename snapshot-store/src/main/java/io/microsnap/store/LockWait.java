package io.microsnap.store;

import java.io.IOException;
import java.time.Duration;
import java.util.Objects;

/**
 * How long a writer waits for another one. Publishing, deleting and recovery exclude each other in a store and take
 * milliseconds each; only a process that was stopped, or hangs in a system call, keeps the others waiting.
 *
 * @param longest the time after which the writer throws {@link StoreBusyException}; zero does not wait at all
 * @param listener receives the fact that the writer waits, and for which process
 */
public record LockWait(Duration longest, Listener listener) {
    /** Waits half a minute, without a listener. */
    public static final LockWait DEFAULT = new LockWait(Duration.ofSeconds(30), (holder, waited) -> { });

    public LockWait {
        Objects.requireNonNull(listener);
        if (longest.isNegative()) {
            throw new IllegalArgumentException("cannot wait for " + longest);
        }
    }

    /** Waits as long, and calls this listener. */
    public LockWait telling(Listener other) {
        return new LockWait(longest, other);
    }

    /** Receives the fact that a writer waits. */
    @FunctionalInterface
    public interface Listener {
        /**
         * Called about fifty times a second, by the waiting thread. An exception ends the waiting and is passed on;
         * nothing was changed then.
         *
         * @param holder the process that has the lock, such as {@code process 4711 (java)}, as far as that is known
         * @param waited for how long
         */
        void waiting(String holder, Duration waited) throws IOException;
    }
}
