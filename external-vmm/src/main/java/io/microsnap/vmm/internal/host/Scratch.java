package io.microsnap.vmm.internal.host;

import java.io.IOException;
import java.nio.file.DirectoryStream;
import java.nio.file.Files;
import java.nio.file.Path;
import java.nio.file.StandardOpenOption;
import java.nio.file.attribute.PosixFilePermissions;

/** Makes a private directory that a VMM can write to; closing removes it with its files. */
public final class Scratch implements AutoCloseable {
    private final Path directory;

    private Scratch(Path directory) {
        this.directory = directory;
    }

    /** Makes one in a directory, and gives it to the VMM's user if that is another one. */
    public static Scratch in(Path parent, VmmProcess vmm) throws IOException {
        Path directory = Files.createTempDirectory(parent, "microsnap-",
                PosixFilePermissions.asFileAttribute(PosixFilePermissions.fromString("rwx------")));
        Scratch scratch = new Scratch(directory);
        try {
            if ((int) Files.getAttribute(directory, "unix:uid") != vmm.user()) {
                Files.setAttribute(directory, "unix:gid", vmm.group());
                Files.setAttribute(directory, "unix:uid", vmm.user());
            }
            return scratch;
        } catch (IOException | RuntimeException failure) {
            scratch.close();
            throw failure;
        }
    }

    /** Makes one in the system's temporary directory: for sockets, whose paths must be short. */
    public static Scratch forSockets(VmmProcess vmm) throws IOException {
        return in(Path.of(System.getProperty("java.io.tmpdir")), vmm);
    }

    /** Returns the directory. */
    public Path directory() {
        return directory;
    }

    /** Returns the path of a file in it, which need not exist. */
    public Path file(String name) {
        return directory.resolve(name);
    }

    /** Writes a new file, and never through an existing entry, such as a link of the VMM's user. */
    public Path write(String name, String text) throws IOException {
        return Files.writeString(file(name), text, StandardOpenOption.CREATE_NEW, StandardOpenOption.WRITE);
    }

    @Override
    public void close() throws IOException {
        if (!Files.exists(directory)) {
            // The guard has removed it already.
            return;
        }
        try (DirectoryStream<Path> files = Files.newDirectoryStream(directory)) {
            for (Path file : files) {
                Files.deleteIfExists(file);
            }
        }
        Files.deleteIfExists(directory);
    }
}
