package io.microsnap.memory.internal.image;

import io.microsnap.core.internal.posix.Descriptor;
import io.microsnap.core.internal.posix.OperatingSystem;
import io.microsnap.core.internal.posix.Posix;
import java.io.IOException;
import java.lang.foreign.Arena;
import java.lang.foreign.MemorySegment;
import java.lang.foreign.ValueLayout;
import java.nio.file.Path;

/**
 * How long a thread slept: neither ran nor waited for a processor. While it writes to the page cache that is the kernel
 * holding back writers until dirty pages are on disk.
 */
final class ThreadStall implements AutoCloseable {
    private static final Path SCHEDULER = Path.of("/proc/thread-self/schedstat");
    private static final int LONGEST_LINE = 128;

    private final Thread thread = Thread.currentThread();
    private final MemorySegment line = Arena.ofAuto().allocate(LONGEST_LINE);
    /** Null where the system does not tell. */
    private final Descriptor scheduler;
    private long startNanos;
    private long startAwakeNanos;

    private ThreadStall(Descriptor scheduler) {
        this.scheduler = scheduler;
    }

    /** Of the calling thread, which may ask later and is the only one to ask. */
    static ThreadStall ofThisThread(Posix posix) {
        if (posix.constants().operatingSystem() != OperatingSystem.LINUX) {
            return new ThreadStall(null);
        }
        try {
            return new ThreadStall(Descriptor.open(posix, SCHEDULER, posix.constants().O_RDONLY, 0));
        } catch (IOException untold) {
            // Only a figure for the report; a kernel without scheduler statistics does not tell it.
            return new ThreadStall(null);
        }
    }

    boolean isOfThisThread() {
        return thread == Thread.currentThread();
    }

    /** From now on. */
    void begin() {
        startNanos = System.nanoTime();
        startAwakeNanos = awakeNanos();
    }

    /** Since {@link #begin}; zero where the system does not tell. */
    long nanos() {
        long awake = awakeNanos();
        if (awake < 0 || startAwakeNanos < 0) {
            return 0;
        }
        return Math.max(0, System.nanoTime() - startNanos - (awake - startAwakeNanos));
    }

    @Override
    public void close() {
        try {
            if (scheduler != null) {
                scheduler.close();
            }
        } catch (IOException nothingIsLost) {
            // It was only read, and is closed all the same.
        }
    }

    /** The thread's time on a processor and in the queue for one, or -1. */
    private long awakeNanos() {
        if (scheduler == null) {
            return -1;
        }
        try {
            return sumOfFirstTwo(line.asSlice(0, scheduler.read(line, 0)));
        } catch (IOException | IndexOutOfBoundsException untold) {
            return -1;
        }
    }

    /** Of decimal numbers, each with a space behind it. */
    private static long sumOfFirstTwo(MemorySegment line) {
        long sum = 0;
        long at = 0;
        for (int number = 0; number < 2; number++) {
            long value = 0;
            byte character = line.get(ValueLayout.JAVA_BYTE, at++);
            while (character != ' ') {
                value = 10 * value + (character - '0');
                character = line.get(ValueLayout.JAVA_BYTE, at++);
            }
            sum += value;
        }
        return sum;
    }
}
