package io.microsnap.core.internal.file;

import io.microsnap.core.SnapshotException;
import java.lang.foreign.MemorySegment;

/**
 * Copies out of memory that another process may shorten meanwhile. The JVM reports that by an {@link InternalError},
 * which compiled code may throw only after the copy: a caller that keeps the copy must expect the error, too.
 */
public final class Truncation {
    private Truncation() {
    }

    /** Copies, or throws an exception that names the source and the image offset of the missing memory. */
    public static void copy(MemorySegment source, long sourceOffset, MemorySegment destination, long destinationOffset,
            long lengthBytes, String name, long imageOffset) throws SnapshotException {
        try {
            MemorySegment.copy(source, sourceOffset, destination, destinationOffset, lengthBytes);
        } catch (InternalError gone) {
            throw found(lengthBytes, name, imageOffset, gone);
        }
    }

    /**
     * Returns the exception for bytes of a source that are gone from an image offset on.
     */
    public static SnapshotException found(long lengthBytes, String name, long imageOffset, Throwable cause) {
        return new SnapshotException(name + ": the file behind the memory was truncated; not all of " + lengthBytes
                + " bytes could be read from image offset " + imageOffset, cause);
    }
}
