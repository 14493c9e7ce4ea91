package io.microsnap.core.internal.posix;

import java.lang.foreign.MemorySegment;
import java.lang.foreign.ValueLayout;

/** Linux's {@code struct statfs} on 64-bit machines. */
final class StatFs {
    private static final long TYPE = 0;
    private static final long BLOCK_SIZE = 8;
    private static final long BLOCKS = 16;
    private static final long FREE = 24;
    private static final long AVAILABLE = 32;
    private static final long FRAGMENT_SIZE = 72;

    private StatFs() {
    }

    static void read(MemorySegment from, FileSystemStat to) {
        // The unit of the counts; the block size is the preferred transfer size and larger on some filesystems.
        long fragment = from.get(ValueLayout.JAVA_LONG, FRAGMENT_SIZE);
        long block = fragment != 0 ? fragment : from.get(ValueLayout.JAVA_LONG, BLOCK_SIZE);
        to.type = from.get(ValueLayout.JAVA_LONG, TYPE);
        to.set(block, from.get(ValueLayout.JAVA_LONG, BLOCKS), from.get(ValueLayout.JAVA_LONG, FREE),
                from.get(ValueLayout.JAVA_LONG, AVAILABLE));
    }
}
