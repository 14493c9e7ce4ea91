package io.microsnap.memory.internal.image;

import io.microsnap.core.internal.work.Uninterrupted;
import java.time.Duration;
import java.util.concurrent.TimeUnit;
import java.util.concurrent.atomic.AtomicLong;

/**
 * Keeps the threads that go through guest memory, all of them together, at so many bytes a second: for a guest that
 * runs meanwhile and needs the processor and the memory itself.
 */
public final class Pace {
    /** A shorter wait costs more than it spares the guest. */
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

    /** As fast as it goes. */
    public static Pace unlimited() {
        return new Pace(0);
    }

    /** At most so many bytes a second from now on, on average. */
    public static Pace of(long bytesASecond) {
        return new Pace(NANOS_A_SECOND / bytesASecond);
    }

    /** Waits until so many more bytes are due. */
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

    /** How long the thread that made it has waited, asked by that thread. */
    public Duration waited() {
        return Duration.ofNanos(waitedNanos);
    }
}
