package io.microsnap.core.internal.posix;

import java.lang.foreign.MemorySegment;
import java.lang.foreign.ValueLayout;

/** Linux's {@code struct statx}: one layout on every architecture, unlike {@code struct stat}. */
final class Statx {
    static final int AT_EMPTY_PATH = 0x1000;
    static final int BASIC = 0x7ff;
    static final int DIRECT_ALIGNMENT = 0x2000;

    private static final long MASK = 0;
    private static final long BLOCK_SIZE = 4;
    private static final long LINKS = 16;
    private static final long OWNER = 20;
    private static final long GROUP = 24;
    private static final long MODE = 28;
    private static final long INODE = 32;
    private static final long SIZE = 40;
    private static final long BLOCKS = 48;
    private static final long ACCESSED = 64;
    private static final long CHANGED = 96;
    private static final long MODIFIED = 112;
    private static final long NANOS = 8;
    private static final long DEVICE_MAJOR = 136;
    private static final long DEVICE_MINOR = 140;
    private static final long DIRECT_MEMORY_ALIGNMENT = 152;
    private static final long DIRECT_OFFSET_ALIGNMENT = 156;
    private static final long SECTOR_BYTES = 512;

    private Statx() {
    }

    static void read(MemorySegment from, Stat to) {
        to.blockSizeBytes = from.get(ValueLayout.JAVA_INT, BLOCK_SIZE);
        to.links = Integer.toUnsignedLong(from.get(ValueLayout.JAVA_INT, LINKS));
        to.owner = from.get(ValueLayout.JAVA_INT, OWNER);
        to.group = from.get(ValueLayout.JAVA_INT, GROUP);
        to.mode = Short.toUnsignedInt(from.get(ValueLayout.JAVA_SHORT, MODE));
        to.inode = from.get(ValueLayout.JAVA_LONG, INODE);
        to.sizeBytes = from.get(ValueLayout.JAVA_LONG, SIZE);
        to.allocatedBytes = from.get(ValueLayout.JAVA_LONG, BLOCKS) * SECTOR_BYTES;
        to.accessedSeconds = from.get(ValueLayout.JAVA_LONG, ACCESSED);
        to.accessedNanos = from.get(ValueLayout.JAVA_INT, ACCESSED + NANOS);
        to.changedSeconds = from.get(ValueLayout.JAVA_LONG, CHANGED);
        to.changedNanos = from.get(ValueLayout.JAVA_INT, CHANGED + NANOS);
        to.modifiedSeconds = from.get(ValueLayout.JAVA_LONG, MODIFIED);
        to.modifiedNanos = from.get(ValueLayout.JAVA_INT, MODIFIED + NANOS);
        to.tellsDirectAlignment = (from.get(ValueLayout.JAVA_INT, MASK) & DIRECT_ALIGNMENT) != 0;
        to.directMemoryBytes = from.get(ValueLayout.JAVA_INT, DIRECT_MEMORY_ALIGNMENT);
        to.directOffsetBytes = from.get(ValueLayout.JAVA_INT, DIRECT_OFFSET_ALIGNMENT);
        to.device = Integer.toUnsignedLong(from.get(ValueLayout.JAVA_INT, DEVICE_MAJOR)) << 32
                | Integer.toUnsignedLong(from.get(ValueLayout.JAVA_INT, DEVICE_MINOR));
    }
}
