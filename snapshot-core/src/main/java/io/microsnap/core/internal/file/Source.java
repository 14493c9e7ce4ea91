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

/** Files to read from, by a path that the caller vouches for. */
final class Source {
    private Source() {
    }

    /** Opens a plain file for reading; anything else is refused, and never waited for. */
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
            throw new SnapshotException(source.name() + " is not a plain file, and only those are copied");
        }
        if (status.sizeBytes() == 0) {
            requireEmpty(source);
        }
    }

    /** Files of procfs and the like have content that is made when it is read, and say that they are empty. */
    private static void requireEmpty(Descriptor source) throws IOException {
        try (Arena arena = Arena.ofConfined()) {
            if (source.read(arena.allocate(1), 0) > 0 && source.sizeBytes() == 0) {
                throw new SnapshotException(source.name() + " says that it is empty, and is not: its content is made"
                        + " when it is read (procfs?); copy it into a plain file first, with cat");
            }
        }
    }
}
