package io.microsnap.memory.reader;

import io.microsnap.core.SnapshotException;
import java.lang.foreign.MemorySegment;

/** Copies out of memory that somebody may shorten meanwhile; the JVM tells that by an {@link InternalError}. */
public final class Truncation {
    private Truncation() {
    }

    /** Copies, or throws naming the source and where in the image the memory was gone. */
    public static void copy(MemorySegment source, long sourceOffset, MemorySegment destination, long destinationOffset,
            long lengthBytes, String name, long imageOffset) throws SnapshotException {
        try {
            MemorySegment.copy(source, sourceOffset, destination, destinationOffset, lengthBytes);
        } catch (InternalError gone) {
            throw new SnapshotException(name + ": the file behind the memory was truncated; nothing could be read in "
                    + lengthBytes + " bytes from image offset " + imageOffset, gone);
        }
    }
}
