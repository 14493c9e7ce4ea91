package io.microsnap.core.internal.file;

import io.microsnap.core.internal.posix.Constants;
import io.microsnap.core.internal.posix.Descriptor;
import io.microsnap.core.internal.posix.Stat;
import java.io.IOException;

/**
 * What requests to a file must be multiples of to be taken as they are; all powers of two. Found out by questions
 * alone: nothing is read or written for it.
 *
 * @param requestBytes offsets and lengths of reads and writes
 * @param memoryBytes addresses of memory that is read into or written from
 * @param zeroBytes what can be made zeros without writing zeros
 * @param discardBytes what can be given back
 * @param reported whether the system said so; otherwise it is a guess that holds for common devices
 */
public record Alignments(int requestBytes, int memoryBytes, int zeroBytes, int discardBytes, boolean reported) {
    /** Any request is taken. */
    static final Alignments NONE = new Alignments(1, 1, 1, 1, true);

    /** What devices and filesystems have, of which none says otherwise. */
    static final int USUAL_BYTES = 4096;

    /** Refuses what is no power of two. */
    public Alignments {
        for (int bytes : new int[] {requestBytes, memoryBytes, zeroBytes, discardBytes}) {
            if (Integer.bitCount(bytes) != 1 || bytes < 0) {
                throw new IllegalArgumentException("an alignment of " + bytes + " bytes");
            }
        }
    }

    /** Those for direct I/O on a file, or a block device of these sectors. */
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
        // A file whose blocks were shared may need more than it did: never less than a block.
        int request = Math.max(block, told ? usable(status.directOffsetBytes()) : USUAL_BYTES);
        int memory = told ? usable(status.directMemoryBytes()) : request;
        boolean needsNone = constants.O_DIRECT == 0;
        return new Alignments(request, needsNone ? 1 : memory, block, block, told || needsNone);
    }

    private static int usable(long bytes) {
        return bytes > 0 && bytes <= 1 << 30 && Long.bitCount(bytes) == 1 ? (int) bytes : USUAL_BYTES;
    }
}
