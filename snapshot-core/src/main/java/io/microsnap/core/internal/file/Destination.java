package io.microsnap.core.internal.file;

import io.microsnap.core.SnapshotException;
import io.microsnap.core.internal.posix.Descriptor;
import io.microsnap.core.internal.posix.PathNames;
import io.microsnap.core.internal.posix.Posix;
import io.microsnap.core.internal.posix.Stat;
import java.io.IOException;
import java.nio.file.FileSystemException;
import java.nio.file.InvalidPathException;
import java.nio.file.Path;

/** The place where a file will appear: a checked name in an open directory. */
record Destination(Descriptor directory, String name) {
    Destination {
        if (name.isEmpty() || name.equals(".") || name.equals("..")) {
            throw new InvalidPathException(name, "not a file's name");
        }
        if (name.indexOf('/') >= 0 || name.indexOf('\0') >= 0) {
            throw new InvalidPathException(name, "a file's name has no slash and no NUL");
        }
    }

    /** Opens the directory that a path names. Links on the way to it are followed: the caller vouches for them. */
    static Destination open(Posix posix, Path path) throws IOException {
        Path name = path.getFileName();
        if (name == null) {
            throw new FileSystemException(path.toString(), null, "it is a directory, and a file is wanted");
        }
        Path parent = path.toAbsolutePath().getParent();
        int flags = posix.constants().O_RDONLY | posix.constants().O_DIRECTORY;
        Descriptor directory = Descriptor.open(posix, parent, flags, 0);
        try {
            return new Destination(directory, PathNames.last(name));
        } catch (InvalidPathException refused) {
            directory.close();
            throw refused;
        }
    }

    /** Refuses an existing entry that is not a plain file. */
    void requirePlainFile(Stat existing) throws IOException {
        if (existing.isDirectory()) {
            throw new FileSystemException(toString(), null, "it is a directory, and a file is wanted");
        }
        if (existing.isSymbolicLink()) {
            throw new SnapshotException(this + " is a symbolic link, and links are not followed;"
                    + " name the file it leads to, or remove it");
        }
        if (!existing.isRegularFile()) {
            throw new SnapshotException(this + " is neither a file nor absent, and is left as it is");
        }
    }

    @Override
    public String toString() {
        return directory.name() + "/" + name;
    }
}
