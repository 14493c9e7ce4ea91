package io.microsnap.memory.internal.image;

import io.microsnap.core.internal.work.Uninterrupted;
import java.time.Duration;
import java.util.concurrent.TimeUnit;
import java.util.concurrent.atomic.AtomicLong;

/**
 * Limits how fast the threads together go through guest memory, in bytes a second, because the running guest needs
 * processors and memory bandwidth, too.
 */
public final class Pace {
    /** A shorter wait costs more than it helps the guest. */
    private static final long LEAST_NANOS = 1_000_000;
    private static final double NANOS_A_SECOND = 1e9;

    private final double nanosPerByte;
    private final long start = System.nanoTime();
    private final AtomicLong bytes = new AtomicLong();
    private final Thread first = Thread.currentThread();
    private long waitedNanos;

    private Pace(double nanosPerByte) {
        this.nanosPerByte = nanosPerByte;
    }

    /** Returns a pace without a limit. */
    public static Pace unlimited() {
        return new Pace(0);
    }

    /** Returns a pace of at most this many bytes a second from now on, on average. */
    public static Pace of(long bytesASecond) {
        return new Pace(NANOS_A_SECOND / bytesASecond);
    }

    /** Waits until this many more bytes are due. */
    void passed(long lengthBytes) {
        if (nanosPerByte == 0) {
            return;
        }
        long due = start + (long) (bytes.addAndGet(lengthBytes) * nanosPerByte);
        long before = System.nanoTime();
        if (due - before < LEAST_NANOS) {
            return;
        }
        Uninterrupted.await(() -> TimeUnit.NANOSECONDS.sleep(due - System.nanoTime()));
        if (Thread.currentThread() == first) {
            waitedNanos += System.nanoTime() - before;
        }
    }

    /** Returns how long the thread that made it has waited. Only that thread may call this. */
    Duration waited() {
        return Duration.ofNanos(waitedNanos);
    }
}
