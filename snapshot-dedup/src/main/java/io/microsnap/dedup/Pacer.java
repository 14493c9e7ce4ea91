package io.microsnap.dedup;

import java.util.concurrent.locks.LockSupport;
import java.util.function.LongConsumer;
import java.util.function.LongSupplier;

/** Limits the bytes a second that several threads read together. */
final class Pacer {
    // Unused allowance expires after a tenth of a second, so that no burst follows a pause.
    private static final long MEMORY_NANOS = 100_000_000;
    private static final double NANOS_IN_SECOND = 1e9;

    private final long bytesPerSecond;
    private final LongSupplier clock;
    private final LongConsumer pause;
    private long freeFrom;

    Pacer(long bytesPerSecond) {
        this(bytesPerSecond, System::nanoTime, LockSupport::parkNanos);
    }

    Pacer(long bytesPerSecond, LongSupplier clock, LongConsumer pause) {
        this.bytesPerSecond = bytesPerSecond;
        this.clock = clock;
        this.pause = pause;
        freeFrom = clock.getAsLong();
    }

    /** Returns when that many bytes may be read, or when the thread is interrupted. */
    void await(long bytes) {
        if (bytesPerSecond == Long.MAX_VALUE) {
            return;
        }
        long until = reserve(bytes);
        for (long left = until - clock.getAsLong(); left > 0 && !Thread.currentThread().isInterrupted();
                left = until - clock.getAsLong()) {
            pause.accept(left);
        }
    }

    private synchronized long reserve(long bytes) {
        long start = Math.max(freeFrom, clock.getAsLong() - MEMORY_NANOS);
        freeFrom = start + (long) (bytes * NANOS_IN_SECOND / bytesPerSecond);
        return start;
    }
}
