package io.microsnap.core.internal.file;

import io.microsnap.core.SnapshotException;
import java.lang.foreign.MemorySegment;

/**
 * Copies out of memory that somebody may shorten meanwhile. The JVM tells that by an {@link InternalError}, which
 * compiled code may throw only after the copy: a caller that keeps the copy must expect it as well.
 */
public final class Truncation {
    private Truncation() {
    }

    /** Copies, or throws naming the source and where in the image the memory was gone. */
    public static void copy(MemorySegment source, long sourceOffset, MemorySegment destination, long destinationOffset,
            long lengthBytes, String name, long imageOffset) throws SnapshotException {
        try {
            MemorySegment.copy(source, sourceOffset, destination, destinationOffset, lengthBytes);
        } catch (InternalError gone) {
            throw found(lengthBytes, name, imageOffset, gone);
        }
    }

    /** What to throw when bytes of a source from an image offset on could not be read, because they are gone. */
    public static SnapshotException found(long lengthBytes, String name, long imageOffset, Throwable cause) {
        return new SnapshotException(name + ": the file behind the memory was truncated; not all of " + lengthBytes
                + " bytes could be read from image offset " + imageOffset, cause);
    }
}
