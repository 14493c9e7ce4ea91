package io.microsnap.store.internal;

import io.microsnap.core.BusyException;
import io.microsnap.core.internal.posix.Constants;
import io.microsnap.core.internal.posix.Descriptor;
import io.microsnap.core.internal.work.Closing;
import io.microsnap.store.StoreOptions;
import java.io.IOException;
import java.io.InterruptedIOException;
import java.time.Duration;
import java.util.Optional;
import java.util.concurrent.locks.LockSupport;

/** The store's lock: publish, delete and recovery exclude each other, across processes and threads. */
final class StoreLock implements AutoCloseable {
    private static final System.Logger LOG = System.getLogger(DirectoryStore.class.getName());
    private static final String NAME = ".lock";
    private static final long FIRST_PAUSE_NANOS = 50_000;
    /** Short enough that the listener can stop the waiting at once, long enough to cost nothing. */
    private static final long LONGEST_PAUSE_NANOS = 20_000_000;
    /** Most waits are shorter; only longer ones are logged. */
    private static final Duration NOT_WORTH_TELLING = Duration.ofMillis(200);

    private final Descriptor file;

    private StoreLock(Descriptor file) {
        this.file = file;
    }

    static boolean isLock(String name) {
        return name.equals(NAME);
    }

    /**
     * Takes the lock; waits for the process or thread that has it, within the limits of the options.
     *
     * @throws BusyException if the wait takes too long
     * @throws InterruptedIOException if this thread is interrupted meanwhile
     */
    static StoreLock acquire(Descriptor root, StoreOptions options) throws IOException {
        return take(root, options, file -> {
            if (!file.tryLock(true)) {
                await(file, root, options);
            }
            return true;
        }).orElseThrow();
    }

    /** Takes the lock without waiting; empty if another process or thread has it. */
    static Optional<StoreLock> tryAcquire(Descriptor root, StoreOptions options) throws IOException {
        return take(root, options, file -> file.tryLock(true));
    }

    private interface Attempt {
        boolean locked(Descriptor file) throws IOException;
    }

    private static Optional<StoreLock> take(Descriptor root, StoreOptions options, Attempt attempt)
            throws IOException {
        Constants constants = root.posix().constants();
        Descriptor file = root.openAt(NAME, constants.O_RDWR | constants.O_CREAT, options.fileMode());
        boolean locked = false;
        try {
            locked = attempt.locked(file);
            return locked ? Optional.of(new StoreLock(file)) : Optional.empty();
        } finally {
            if (!locked) {
                file.close();
            }
        }
    }

    /** Polls, because a thread that waits in {@code flock} cannot be interrupted. */
    private static void await(Descriptor file, Descriptor root, StoreOptions options) throws IOException {
        long start = System.nanoTime();
        long pauseNanos = FIRST_PAUSE_NANOS;
        boolean told = false;
        while (!file.tryLock(true)) {
            if (Thread.currentThread().isInterrupted()) {
                throw new InterruptedIOException("interrupted while waiting for " + LockHolder.of(file)
                        + ", which is changing " + root);
            }
            Duration waited = Duration.ofNanos(System.nanoTime() - start);
            if (waited.compareTo(options.longestWait()) >= 0) {
                throw new BusyException(root.name() + " is being changed by " + LockHolder.of(file)
                        + ", for which this process waited " + waited.toMillis() + " ms; retry, wait longer, or check"
                        + " whether that process is stopped or hangs");
            }
            if (waited.compareTo(NOT_WORTH_TELLING) >= 0) {
                String holder = LockHolder.of(file);
                if (!told) {
                    told = true;
                    LOG.log(System.Logger.Level.INFO, "{0}: waiting for {1}", root, holder);
                }
                options.waitListener().waiting(holder, waited);
            }
            LockSupport.parkNanos(Math.min(pauseNanos, options.longestWait().minus(waited).toNanos()));
            pauseNanos = Math.min(2 * pauseNanos, LONGEST_PAUSE_NANOS);
        }
    }

    /** Releases the lock. A failure to close is ignored: the work under the lock is done. */
    @Override
    public void close() {
        Closing closing = new Closing();
        closing.add(file);
        closing.closeQuietly(LOG);
    }
}
