package io.microsnap.core.internal.posix;

import static java.lang.foreign.ValueLayout.JAVA_INT;
import static java.lang.foreign.ValueLayout.JAVA_LONG;
import static java.lang.foreign.ValueLayout.JAVA_SHORT;

import java.lang.foreign.MemorySegment;

/**
 * macOS's structs on AArch64, by the offsets of their members: {@code struct stat}, {@code statfs}, {@code dirent}
 * (all with 64-bit inodes), {@code fpunchhole_t}, {@code fstore_t}.
 */
final class MacStructs {
    static final long STAT_BYTES = 144;
    static final long ST_DEV = 0;
    static final long ST_MODE = 4;
    static final long ST_NLINK = 6;
    static final long ST_INO = 8;
    static final long ST_UID = 16;
    static final long ST_GID = 20;
    static final long ST_ATIMESPEC = 32;
    static final long ST_MTIMESPEC = 48;
    static final long ST_CTIMESPEC = 64;
    static final long TV_NSEC = 8;
    static final long ST_SIZE = 96;
    static final long ST_BLOCKS = 104;
    static final long ST_BLKSIZE = 112;

    static final long STATFS_BYTES = 2168;
    static final long F_BSIZE = 0;
    static final long F_BLOCKS = 8;
    static final long F_BFREE = 16;
    static final long F_BAVAIL = 24;
    static final long F_TYPE = 60;

    static final long DIRENT_BYTES = 1048;
    static final long D_NAMLEN = 18;
    static final long D_NAME = 21;

    static final long FPUNCHHOLE_BYTES = 24;
    static final long FP_FLAGS = 0;
    static final long FP_OFFSET = 8;
    static final long FP_LENGTH = 16;

    static final long FSTORE_BYTES = 32;
    static final long FST_FLAGS = 0;
    static final long FST_POSMODE = 4;
    static final long FST_OFFSET = 8;
    static final long FST_LENGTH = 16;
    static final long FST_BYTESALLOC = 24;

    private static final long SECTOR_BYTES = 512;

    private MacStructs() {
    }

    static void readStat(MemorySegment from, Stat to) {
        to.device = Integer.toUnsignedLong(from.get(JAVA_INT, ST_DEV));
        to.mode = Short.toUnsignedInt(from.get(JAVA_SHORT, ST_MODE));
        to.links = Short.toUnsignedInt(from.get(JAVA_SHORT, ST_NLINK));
        to.inode = from.get(JAVA_LONG, ST_INO);
        to.owner = from.get(JAVA_INT, ST_UID);
        to.group = from.get(JAVA_INT, ST_GID);
        to.accessedSeconds = from.get(JAVA_LONG, ST_ATIMESPEC);
        to.accessedNanos = (int) from.get(JAVA_LONG, ST_ATIMESPEC + TV_NSEC);
        to.modifiedSeconds = from.get(JAVA_LONG, ST_MTIMESPEC);
        to.modifiedNanos = (int) from.get(JAVA_LONG, ST_MTIMESPEC + TV_NSEC);
        to.changedSeconds = from.get(JAVA_LONG, ST_CTIMESPEC);
        to.changedNanos = (int) from.get(JAVA_LONG, ST_CTIMESPEC + TV_NSEC);
        to.sizeBytes = from.get(JAVA_LONG, ST_SIZE);
        to.allocatedBytes = from.get(JAVA_LONG, ST_BLOCKS) * SECTOR_BYTES;
        to.blockSizeBytes = from.get(JAVA_INT, ST_BLKSIZE);
        to.tellsDirectAlignment = false;
    }

    static void readStatFs(MemorySegment from, FileSystemStat to) {
        to.type = Integer.toUnsignedLong(from.get(JAVA_INT, F_TYPE));
        to.set(Integer.toUnsignedLong(from.get(JAVA_INT, F_BSIZE)), from.get(JAVA_LONG, F_BLOCKS),
                from.get(JAVA_LONG, F_BFREE), from.get(JAVA_LONG, F_BAVAIL));
    }

    static String entryName(MemorySegment entry) {
        return NativeText.text(entry, D_NAME, Short.toUnsignedInt(entry.get(JAVA_SHORT, D_NAMLEN)));
    }

    static void preallocate(MemorySegment to, Constants constants, long length) {
        to.set(JAVA_INT, FST_FLAGS, constants.F_ALLOCATEALL);
        to.set(JAVA_INT, FST_POSMODE, constants.F_PEOFPOSMODE);
        to.set(JAVA_LONG, FST_OFFSET, 0);
        to.set(JAVA_LONG, FST_LENGTH, length);
        to.set(JAVA_LONG, FST_BYTESALLOC, 0);
    }

    static void punchHole(MemorySegment to, long offset, long length) {
        to.set(JAVA_LONG, FP_FLAGS, 0);
        to.set(JAVA_LONG, FP_OFFSET, offset);
        to.set(JAVA_LONG, FP_LENGTH, length);
    }
}
