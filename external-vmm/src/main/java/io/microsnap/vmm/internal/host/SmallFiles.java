package io.microsnap.vmm.internal.host;

import io.microsnap.core.SnapshotException;
import io.microsnap.core.internal.posix.Descriptor;
import io.microsnap.core.internal.posix.Posix;
import java.io.IOException;
import java.lang.foreign.Arena;
import java.lang.foreign.MemorySegment;
import java.lang.foreign.ValueLayout;
import java.nio.file.Path;

/** Reads files that other programs wrote, up to a limit. */
public final class SmallFiles {
    private SmallFiles() {
    }

    /** Opens a regular file; refuses others, which could block. */
    public static Descriptor open(Posix posix, Path path) throws IOException {
        int flags = posix.constants().O_RDONLY | posix.constants().O_NONBLOCK;
        Descriptor file = Descriptor.open(posix, path, flags, 0);
        try {
            if (!file.status().isRegularFile()) {
                throw new SnapshotException(file + " is not a regular file");
            }
            return file;
        } catch (IOException | RuntimeException refused) {
            try (file) {
                throw refused;
            }
        }
    }

    /** Returns the whole content, and refuses more than the limit. */
    public static byte[] read(Posix posix, Path path, int mostBytes) throws IOException {
        try (Descriptor file = open(posix, path)) {
            return read(file, mostBytes);
        }
    }

    /** Does as {@link #read(Posix, Path, int)} with an open file. */
    public static byte[] read(Descriptor file, int mostBytes) throws IOException {
        long sizeBytes = file.sizeBytes();
        if (sizeBytes > mostBytes) {
            throw new SnapshotException(file + " has " + sizeBytes + " bytes, and such a file has at most "
                    + mostBytes + "; is it the right one?");
        }
        try (Arena arena = Arena.ofConfined()) {
            MemorySegment content = arena.allocate(Math.max(1, sizeBytes)).asSlice(0, sizeBytes);
            file.readFully(content, 0);
            return content.toArray(ValueLayout.JAVA_BYTE);
        }
    }
}
