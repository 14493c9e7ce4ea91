package io.microsnap.core.internal.file;

import java.lang.foreign.MemorySegment;
import java.lang.foreign.ValueLayout;
import java.nio.ByteBuffer;
import java.util.Objects;
import java.util.zip.CRC32C;

/**
 * Tests pages for zeros and equality and computes their checksums. Nothing here allocates, and any length and alignment
 * works.
 *
 * <p>{@link #isZero} and {@link #equal} may be used on memory that another process truncates meanwhile: they then throw
 * {@link InternalError}. {@link #crc32c} on such memory would kill the process: copy it into a {@link PageScratch}
 * first.
 */
public final class Pages {
    // Long enough that the compiler's vector loop pays, short enough that a difference at the front ends a long run.
    private static final int STEP = 2048;
    private static final ValueLayout.OfLong LONG = ValueLayout.JAVA_LONG_UNALIGNED;
    private static final ValueLayout.OfByte BYTE = ValueLayout.JAVA_BYTE;

    private Pages() {
    }

    /** Returns whether every byte of the range is zero. */
    public static boolean isZero(MemorySegment memory, long offset, long lengthBytes) {
        Objects.checkFromIndexSize(offset, lengthBytes, memory.byteSize());
        // Most pages that are not zero show it in their first bytes.
        if (lengthBytes >= Long.BYTES && memory.get(LONG, offset) != 0) {
            return false;
        }
        long end = offset + lengthBytes;
        long at = offset;
        // The compiler vectorizes a reduction only if the loop has no early exit.
        for (; at <= end - STEP; at += STEP) {
            long bits = 0;
            for (int index = 0; index < STEP; index += Long.BYTES) {
                bits |= memory.get(LONG, at + index);
            }
            if (bits != 0) {
                return false;
            }
        }
        long bits = 0;
        for (; at <= end - Long.BYTES; at += Long.BYTES) {
            bits |= memory.get(LONG, at);
        }
        for (; at < end; at++) {
            bits |= memory.get(BYTE, at);
        }
        return bits == 0;
    }

    /** Returns whether both ranges hold the same bytes. */
    public static boolean equal(MemorySegment left, long leftOffset, MemorySegment right, long rightOffset,
            long lengthBytes) {
        Objects.checkFromIndexSize(leftOffset, lengthBytes, left.byteSize());
        Objects.checkFromIndexSize(rightOffset, lengthBytes, right.byteSize());
        long at = 0;
        for (; at <= lengthBytes - STEP; at += STEP) {
            long difference = 0;
            for (int index = 0; index < STEP; index += Long.BYTES) {
                difference |= left.get(LONG, leftOffset + at + index) ^ right.get(LONG, rightOffset + at + index);
            }
            if (difference != 0) {
                return false;
            }
        }
        long difference = 0;
        for (; at <= lengthBytes - Long.BYTES; at += Long.BYTES) {
            difference |= left.get(LONG, leftOffset + at) ^ right.get(LONG, rightOffset + at);
        }
        for (; at < lengthBytes; at++) {
            difference |= left.get(BYTE, leftOffset + at) ^ right.get(BYTE, rightOffset + at);
        }
        return difference == 0;
    }

    /**
     * Returns the CRC32C of the range. Only for memory that cannot be truncated: anonymous memory, a sealed memfd, or a
     * private buffer.
     */
    public static int crc32c(MemorySegment memory, long offset, long lengthBytes) {
        CRC32C crc = new CRC32C();
        update(crc, memory, offset, lengthBytes);
        return (int) crc.getValue();
    }

    /**
     * The CRC32C of each page of a range, the last of which may be partial. Only for memory as in {@link #crc32c}.
     *
     * @param lengthBytes at most 2 GiB
     * @param checksums given one for each page
     */
    public static void crc32cs(MemorySegment memory, long offset, int lengthBytes, int pageBytes, int[] checksums) {
        ByteBuffer pages = memory.asSlice(offset, lengthBytes).asByteBuffer();
        CRC32C crc = new CRC32C();
        int page = 0;
        for (int at = 0; at < lengthBytes; at += pageBytes, page++) {
            pages.limit(Math.min(at + pageBytes, lengthBytes)).position(at);
            crc.reset();
            crc.update(pages);
            checksums[page] = (int) crc.getValue();
        }
    }

    /** Adds the range to a checksum that covers more than one. Only for memory as in {@link #crc32c}. */
    public static void update(CRC32C crc, MemorySegment memory, long offset, long lengthBytes) {
        Objects.checkFromIndexSize(offset, lengthBytes, memory.byteSize());
        long end = offset + lengthBytes;
        for (long at = offset; at < end;) {
            long part = Math.min(end - at, 1 << 30);
            crc.update(memory.asSlice(at, part).asByteBuffer());
            at += part;
        }
    }
}
