package io.microsnap.core.posix;

import java.lang.foreign.MemoryLayout;
import java.lang.foreign.MemorySegment;
import java.lang.foreign.ValueLayout;

/** Linux's {@code struct statfs} on 64-bit machines. */
final class StatFs {
    static final MemoryLayout LAYOUT = MemoryLayout.sequenceLayout(120 / Long.BYTES, ValueLayout.JAVA_LONG);

    private static final long TYPE = 0;
    private static final long BLOCK_SIZE = 8;
    private static final long BLOCKS = 16;
    private static final long FREE = 24;
    private static final long AVAILABLE = 32;

    private StatFs() {
    }

    static void read(MemorySegment from, FileSystemStat to) {
        long block = from.get(ValueLayout.JAVA_LONG, BLOCK_SIZE);
        to.type = from.get(ValueLayout.JAVA_LONG, TYPE);
        to.blockSizeBytes = block;
        to.totalBytes = block * from.get(ValueLayout.JAVA_LONG, BLOCKS);
        to.freeBytes = block * from.get(ValueLayout.JAVA_LONG, FREE);
        to.availableBytes = block * from.get(ValueLayout.JAVA_LONG, AVAILABLE);
    }
}
