package io.microsnap.vmm.internal.firecracker;

import io.microsnap.core.DamagedException;
import io.microsnap.core.SnapshotException;
import io.microsnap.core.internal.posix.Posix;
import io.microsnap.vmm.internal.host.SmallFiles;
import java.io.IOException;
import java.nio.file.Path;

/** Checks Firecracker's state file: its content is opaque, but it ends with a checksum. */
public final class StateFile {
    /** The largest file that Firecracker loads. */
    public static final int LARGEST_BYTES = 10_000_000;

    private static final long POLYNOMIAL = 0x95AC9329AC4BC9B5L;
    private static final int CHECKSUM_BYTES = 8;

    private StateFile() {
    }

    /** Refuses a file whose checksum is not that of its content. */
    public static void requireWhole(Posix posix, Path file) throws IOException {
        byte[] bytes = SmallFiles.read(posix, file, LARGEST_BYTES);
        if (bytes.length <= CHECKSUM_BYTES) {
            throw new SnapshotException(file + " has " + bytes.length + " bytes, and is not a state file of"
                    + " Firecracker");
        }
        if (crc64(bytes) != 0 || isZero(bytes)) {
            throw new DamagedException(file + " is damaged, or not a state file of Firecracker 1.8 or later: its"
                    + " checksum does not match its content; create the snapshot again");
        }
    }

    /**
     * Returns whether the file is all zeros: their checksum is zero, and a crash leaves zeros in a file that was not
     * synced.
     */
    private static boolean isZero(byte[] bytes) {
        for (byte next : bytes) {
            if (next != 0) {
                return false;
            }
        }
        return true;
    }

    /** Computes CRC64 with Jones's polynomial, reflected. Over a content followed by its checksum it is zero. */
    static long crc64(byte[] bytes) {
        long[] table = new long[256];
        for (int index = 0; index < table.length; index++) {
            long entry = index;
            for (int bit = 0; bit < Byte.SIZE; bit++) {
                entry = (entry >>> 1) ^ ((entry & 1) == 0 ? 0 : POLYNOMIAL);
            }
            table[index] = entry;
        }
        long crc = 0;
        for (byte next : bytes) {
            crc = table[(int) (crc ^ next) & 0xFF] ^ (crc >>> Byte.SIZE);
        }
        return crc;
    }
}
