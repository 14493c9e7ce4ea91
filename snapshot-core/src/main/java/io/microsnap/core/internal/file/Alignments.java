package io.microsnap.core.internal.file;

import io.microsnap.core.internal.posix.Constants;
import io.microsnap.core.internal.posix.Descriptor;
import io.microsnap.core.internal.posix.Stat;
import java.io.IOException;

/**
 * The alignments that direct requests to a file need, all powers of two. They are queried: finding them reads and
 * writes nothing.
 *
 * @param requestBytes offsets and lengths of reads and writes
 * @param memoryBytes addresses of memory that is read into or written from
 * @param zeroBytes the unit of ranges that become zeros without writing zeros
 * @param discardBytes the unit of ranges that can be discarded
 * @param reported whether the system reported these; otherwise they are a guess that holds for common devices
 */
public record Alignments(int requestBytes, int memoryBytes, int zeroBytes, int discardBytes, boolean reported) {
    /** Accepts any request. */
    static final Alignments NONE = new Alignments(1, 1, 1, 1, true);

    /** The alignment of devices and filesystems that report none. */
    static final int USUAL_BYTES = 4096;

    /** Refuses an alignment that is not a power of two. */
    public Alignments {
        for (int bytes : new int[] {requestBytes, memoryBytes, zeroBytes, discardBytes}) {
            if (Integer.bitCount(bytes) != 1 || bytes < 0) {
                throw new IllegalArgumentException("an alignment of " + bytes + " bytes");
            }
        }
    }

    /** Returns the alignments for direct I/O on a file, or on a block device with these sectors. */
    static Alignments ofDirect(Descriptor file, Stat status, int sectorBytes) throws IOException {
        Constants constants = file.posix().constants();
        if (status.isBlockDevice()) {
            boolean told = sectorBytes > 0;
            int sector = told ? usable(sectorBytes) : USUAL_BYTES;
            int memory = status.tellsDirectAlignment() ? usable(status.directMemoryBytes()) : sector;
            return new Alignments(sector, memory, sector, sector, told);
        }
        int block = usable(file.fileSystem().blockSizeBytes());
        boolean told = status.tellsDirectAlignment();
        // A file whose blocks were shared may need a larger alignment than before: use at least a block.
        int request = Math.max(block, told ? usable(status.directOffsetBytes()) : USUAL_BYTES);
        int memory = told ? usable(status.directMemoryBytes()) : request;
        boolean needsNone = constants.O_DIRECT == 0;
        return new Alignments(request, needsNone ? 1 : memory, block, block, told || needsNone);
    }

    private static int usable(long bytes) {
        return bytes > 0 && bytes <= 1 << 30 && Long.bitCount(bytes) == 1 ? (int) bytes : USUAL_BYTES;
    }
}
