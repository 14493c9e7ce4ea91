package io.microsnap.vmm.internal.host;

import io.microsnap.core.Progress;
import io.microsnap.core.SnapshotException;
import io.microsnap.core.internal.file.CopyOptions;
import io.microsnap.core.internal.file.FileCopy;
import io.microsnap.core.internal.file.Reflink;
import io.microsnap.core.internal.posix.Descriptor;
import io.microsnap.core.internal.posix.Posix;
import io.microsnap.store.internal.SnapshotFiles;
import io.microsnap.store.internal.StoredSnapshot;
import java.io.IOException;
import java.nio.file.DirectoryNotEmptyException;
import java.nio.file.DirectoryStream;
import java.nio.file.FileAlreadyExistsException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.nio.file.StandardCopyOption;
import java.nio.file.attribute.PosixFilePermissions;

/**
 * Makes a directory that appears with all of its files or not at all. Its path must not exist or must be an empty
 * directory.
 */
public final class NewDirectory implements AutoCloseable {
    private static final int PRIVATE = 0600;

    private final Posix posix;
    private final Path target;
    private final Path staged;
    private boolean committed;

    private NewDirectory(Posix posix, Path target, Path staged) {
        this.posix = posix;
        this.target = target;
        this.staged = staged;
    }

    /** Begins a directory that will appear at this path. */
    public static NewDirectory create(Posix posix, Path target) throws IOException {
        Path absolute = target.toAbsolutePath().normalize();
        requireFree(absolute);
        if (absolute.getParent() == null) {
            throw new SnapshotException(target + " cannot be created");
        }
        Path staged = Files.createTempDirectory(absolute.getParent(), ".microsnap-",
                PosixFilePermissions.asFileAttribute(PosixFilePermissions.fromString("rwx------")));
        return new NewDirectory(posix, absolute, staged);
    }

    private static void requireFree(Path target) throws IOException {
        if (Files.isSymbolicLink(target) || (Files.exists(target) && !Files.isDirectory(target))) {
            throw new FileAlreadyExistsException(target.toString(), null, "it exists already, and is not a directory");
        }
        if (Files.isDirectory(target)) {
            try (DirectoryStream<Path> files = Files.newDirectoryStream(target)) {
                if (files.iterator().hasNext()) {
                    throw new DirectoryNotEmptyException(target.toString());
                }
            }
        }
    }

    /** Returns a file's path before the commit. */
    public Path file(String name) {
        return staged.resolve(name);
    }

    /** Returns a file's path after the commit. */
    public Path finalPath(String name) {
        return target.resolve(name);
    }

    /** Writes a small file. */
    public void write(String name, String content) throws IOException {
        Files.writeString(Files.createFile(file(name), PosixFilePermissions.asFileAttribute(
                PosixFilePermissions.fromString("rw-------"))), content);
    }

    /** Copies an attachment, cloned where the filesystem can; it is writable. */
    public void copyAttachment(StoredSnapshot held, String attachment, String name) throws IOException {
        Descriptor source = held.open(SnapshotFiles.attachment(attachment));
        int flags = posix.constants().O_RDONLY | posix.constants().O_DIRECTORY;
        try (Descriptor directory = Descriptor.open(posix, staged, flags, 0)) {
            new FileCopy(new Reflink()).copy(source, directory, name,
                    CopyOptions.DEFAULTS.with(Progress.NONE).withMode(PRIVATE));
        }
    }

    /** Makes the directory appear. */
    public void commit() throws IOException {
        int flags = posix.constants().O_RDONLY | posix.constants().O_DIRECTORY;
        try (Descriptor directory = Descriptor.open(posix, staged, flags, 0)) {
            directory.sync();
        }
        // One rename, which replaces an empty directory and nothing else.
        Files.move(staged, target, StandardCopyOption.ATOMIC_MOVE);
        committed = true;
        try (Descriptor directory = Descriptor.open(posix, target.getParent(), flags, 0)) {
            directory.sync();
        }
    }

    @Override
    public void close() throws IOException {
        if (committed) {
            return;
        }
        try (DirectoryStream<Path> files = Files.newDirectoryStream(staged)) {
            for (Path file : files) {
                Files.deleteIfExists(file);
            }
        }
        Files.deleteIfExists(staged);
    }
}
