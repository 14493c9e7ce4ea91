package io.microsnap.core.store;

import java.lang.foreign.MemorySegment;
import java.util.zip.CRC32C;

/** CRC32C over memory of our own, which nobody can truncate. */
final class Checksums {
    private static final long LONGEST_VIEW = 1L << 30;

    private Checksums() {
    }

    static int of(MemorySegment bytes) {
        CRC32C crc = new CRC32C();
        update(crc, bytes);
        return (int) crc.getValue();
    }

    static void update(CRC32C crc, MemorySegment bytes) {
        for (long at = 0; at < bytes.byteSize(); at += LONGEST_VIEW) {
            crc.update(bytes.asSlice(at, Math.min(LONGEST_VIEW, bytes.byteSize() - at)).asByteBuffer());
        }
    }

    /** Of that many zeros. */
    static int ofZeros(int lengthBytes) {
        CRC32C crc = new CRC32C();
        crc.update(new byte[lengthBytes], 0, lengthBytes);
        return (int) crc.getValue();
    }
}
