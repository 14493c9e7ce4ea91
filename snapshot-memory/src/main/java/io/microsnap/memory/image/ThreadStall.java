package io.microsnap.memory.image;

import io.microsnap.core.posix.Descriptor;
import io.microsnap.core.posix.OperatingSystem;
import io.microsnap.core.posix.Posix;
import java.io.IOException;
import java.lang.foreign.Arena;
import java.lang.foreign.MemorySegment;
import java.lang.foreign.ValueLayout;
import java.nio.file.Path;

/**
 * How long the calling thread slept: neither ran nor waited for a processor. While it writes to the page cache that is
 * the kernel holding back writers until dirty pages are on disk.
 */
final class ThreadStall {
    private static final Path SCHEDULER = Path.of("/proc/thread-self/schedstat");
    private static final int LONGEST_LINE = 128;

    private final Posix posix;
    private final long startNanos = System.nanoTime();
    private final long startAwakeNanos;

    private ThreadStall(Posix posix) {
        this.posix = posix;
        startAwakeNanos = awakeNanos();
    }

    static ThreadStall begin(Posix posix) {
        return new ThreadStall(posix);
    }

    /** Since {@link #begin}, asked in the same thread; zero where the system does not tell. */
    long nanos() {
        long awake = awakeNanos();
        if (awake < 0 || startAwakeNanos < 0) {
            return 0;
        }
        return Math.max(0, System.nanoTime() - startNanos - (awake - startAwakeNanos));
    }

    /** The thread's time on a processor and in the queue for one, or -1. */
    private long awakeNanos() {
        if (posix.constants().operatingSystem() != OperatingSystem.LINUX) {
            return -1;
        }
        try (Arena arena = Arena.ofConfined();
                Descriptor file = Descriptor.open(posix, SCHEDULER, posix.constants().O_RDONLY, 0)) {
            MemorySegment line = arena.allocate(LONGEST_LINE);
            return sumOfFirstTwo(line.asSlice(0, file.read(line, 0)));
        } catch (IOException | IndexOutOfBoundsException untold) {
            // Only a figure for the report; a kernel without scheduler statistics does not tell it.
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
