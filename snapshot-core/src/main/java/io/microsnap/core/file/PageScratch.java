package io.microsnap.core.file;

import io.microsnap.core.SnapshotException;
import java.lang.foreign.Arena;
import java.lang.foreign.MemorySegment;
import java.util.Objects;
import java.util.zip.CRC32C;

/**
 * A buffer of our own for memory that somebody may truncate while it is read: bytes are copied here first, in one run,
 * and a truncation becomes an exception. What lies in the buffer can be checksummed and compared without that danger.
 * Use it from one thread at a time.
 */
public final class PageScratch {
    /** Large enough for the copy to run at memory speed, small enough to stay in the processor's cache. */
    public static final int DEFAULT_BYTES = 256 << 10;
    private static final long ALIGNMENT = 4096;

    private final MemorySegment buffer;

    public PageScratch() {
        this(DEFAULT_BYTES);
    }

    public PageScratch(long capacityBytes) {
        buffer = Arena.ofAuto().allocate(capacityBytes, ALIGNMENT);
    }

    /** The whole buffer, for a read from a descriptor. */
    public MemorySegment buffer() {
        return buffer;
    }

    /** How much fits. */
    public long capacityBytes() {
        return buffer.byteSize();
    }

    /**
     * Copies the range to the start of the buffer.
     *
     * @param name what a message calls the memory
     * @throws SnapshotException if the file behind the memory has become too short for it
     */
    public void load(MemorySegment memory, long offset, long lengthBytes, String name) throws SnapshotException {
        try {
            MemorySegment.copy(memory, offset, buffer, 0, lengthBytes);
        } catch (InternalError fault) {
            throw new SnapshotException(name + ": bytes " + offset + " to " + (offset + lengthBytes)
                    + " cannot be read any more; the file behind the mapping was truncated, or its storage failed",
                    fault);
        }
    }

    /** The CRC32C of a range of memory that may be truncated meanwhile. */
    public int crc32c(MemorySegment memory, long offset, long lengthBytes, String name) throws SnapshotException {
        Objects.checkFromIndexSize(offset, lengthBytes, memory.byteSize());
        CRC32C crc = new CRC32C();
        for (long done = 0; done < lengthBytes;) {
            long part = Math.min(lengthBytes - done, capacityBytes());
            load(memory, offset + done, part, name);
            Pages.update(crc, buffer, 0, part);
            done += part;
        }
        return (int) crc.getValue();
    }
}
