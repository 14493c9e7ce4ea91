package io.microsnap.memory.internal.image;

import io.microsnap.core.internal.posix.Descriptor;
import io.microsnap.core.internal.posix.FileSystemStat;
import java.io.IOException;

/**
 * How zero pages are stored.
 *
 * @param smallestHoleBytes runs of zeros at least this long are left out of a new image, so that it has holes there;
 * shorter ones are written, because skipping them would split writes and fragment the file
 */
public record Zeros(long smallestHoleBytes) {
    /** Holes where they pay on disk filesystems: a hole shorter than this costs more time than it saves. */
    public static final Zeros SPARSE = new Zeros(64 << 10);
    /** Every page of zeros becomes a hole: the smallest image, and the right choice for an image in memory. */
    public static final Zeros SPARSEST = new Zeros(1);
    /** Everything is written, and pages are not tested for zeros. */
    public static final Zeros DENSE = new Zeros(Long.MAX_VALUE);

    /**
     * Returns the setting that suits the filesystem of a file: {@link #SPARSEST} in memory, {@link #SPARSE} on a disk.
     */
    public static Zeros suiting(Descriptor file) throws IOException {
        return file.fileSystem().type() == FileSystemStat.TMPFS ? SPARSEST : SPARSE;
    }
}
