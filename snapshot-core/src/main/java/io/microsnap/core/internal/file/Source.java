package io.microsnap.core.internal.file;

import io.microsnap.core.SnapshotException;
import io.microsnap.core.internal.posix.Constants;
import io.microsnap.core.internal.posix.Descriptor;
import io.microsnap.core.internal.posix.Posix;
import io.microsnap.core.internal.posix.Stat;
import java.io.IOException;
import java.lang.foreign.Arena;
import java.nio.file.FileSystemException;
import java.nio.file.Path;

/** Opens files for reading, by a path that the caller vouches for. */
final class Source {
    private Source() {
    }

    /** Opens a plain file for reading. Refuses anything else, and never blocks. */
    static Descriptor open(Posix posix, Path path) throws IOException {
        Constants constants = posix.constants();
        Descriptor source = Descriptor.open(posix, path, constants.O_RDONLY | constants.O_NONBLOCK, 0);
        try {
            requirePlainFile(source, source.status());
            return source;
        } catch (Throwable refused) {
            try (source) {
                throw refused;
            }
        }
    }

    static void requirePlainFile(Descriptor source, Stat status) throws IOException {
        if (status.isDirectory()) {
            throw new FileSystemException(source.name(), null, "it is a directory, and a file is wanted");
        }
        if (!status.isRegularFile()) {
            throw new SnapshotException(source.name() + " is not a plain file; only plain files are copied");
        }
        if (status.sizeBytes() == 0) {
            requireEmpty(source);
        }
    }

    /**
     * Refuses files that report no bytes but have content, such as those of procfs, which make it when they are read.
     */
    private static void requireEmpty(Descriptor source) throws IOException {
        try (Arena arena = Arena.ofConfined()) {
            if (source.read(arena.allocate(1), 0) > 0 && source.sizeBytes() == 0) {
                throw new SnapshotException(source.name() + " reports a size of 0 but has content, as files of procfs"
                        + " do; copy it into a plain file first, with cat");
            }
        }
    }
}
