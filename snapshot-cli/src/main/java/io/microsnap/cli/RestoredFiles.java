package io.microsnap.cli;

import io.microsnap.core.IfExists;
import io.microsnap.core.MachineStateSection;
import io.microsnap.core.SnapshotException;
import io.microsnap.core.internal.file.Durability;
import io.microsnap.core.internal.file.StagedFile;
import io.microsnap.core.internal.file.StorageFile;
import io.microsnap.core.internal.posix.Posix;
import io.microsnap.memory.Export;
import io.microsnap.memory.internal.state.MachineStateFile;
import io.microsnap.store.internal.DirectoryStore;
import io.microsnap.store.internal.SnapshotFiles;
import io.microsnap.store.internal.StoredSnapshot;
import java.io.IOException;
import java.lang.foreign.Arena;
import java.lang.foreign.MemorySegment;
import java.nio.ByteBuffer;
import java.nio.file.FileAlreadyExistsException;
import java.nio.file.Files;
import java.nio.file.LinkOption;
import java.nio.file.Path;
import java.nio.file.attribute.PosixFilePermissions;
import java.util.ArrayDeque;
import java.util.ArrayList;
import java.util.Deque;
import java.util.List;
import java.util.OptionalLong;

/**
 * The files that one restore writes: each whole or not at all. If a later one fails, earlier new files are removed
 * again; a replaced file stays replaced.
 */
final class RestoredFiles implements AutoCloseable {
    private final Posix posix;
    private final IfExists ifExists;
    private final Deque<Path> made = new ArrayDeque<>();

    RestoredFiles(Posix posix, IfExists ifExists) {
        this.posix = posix;
        this.ifExists = ifExists;
    }

    static boolean hasState(StoredSnapshot held) {
        return held.manifest().hasMachineState();
    }

    /** Makes a directory unless it exists. */
    void directory(Path directory) throws IOException {
        DirectoryStore.requireOutside(posix, directory);
        try {
            Files.createDirectory(directory, PosixFilePermissions.asFileAttribute(
                    PosixFilePermissions.fromString("rwx------")));
            made.push(directory);
        } catch (FileAlreadyExistsException there) {
            if (!Files.isDirectory(directory)) {
                throw new SnapshotException(directory + " exists already, and is not a directory");
            }
        }
    }

    /** Writes the machine's state as the VMM saved it. */
    void state(StoredSnapshot held, Path file) throws IOException {
        List<MachineStateSection> sections = MachineStateFile.read(held.open(SnapshotFiles.MACHINE));
        if (sections.size() != 1 || !sections.getFirst().name().equals(Bake.STATE_SECTION)) {
            throw new SnapshotException("the state of " + held.id() + " is not a file that a VMM saved: it has the"
                    + " sections " + sections.stream().map(MachineStateSection::name).toList()
                    + "; restore its machine through the library");
        }
        ByteBuffer payload = sections.getFirst().payload();
        MemorySegment bytes = MemorySegment.ofBuffer(payload);
        write(file, () -> {
            try (StagedFile staged = StagedFile.create(posix, file); Arena arena = Arena.ofConfined()) {
                MemorySegment copy = arena.allocate(Math.max(1, bytes.byteSize())).asSlice(0, bytes.byteSize());
                copy.copyFrom(bytes);
                staged.descriptor().writeFully(copy, 0);
                staged.commit(Durability.FULL, ifExists);
            }
        });
    }

    /** Writes every attachment under its name. */
    List<Path> attachments(StoredSnapshot held, Path directory) throws IOException {
        directory(directory);
        List<Path> files = new ArrayList<>();
        for (String name : held.manifest().attachments()) {
            Path file = directory.resolve(name);
            write(file, () -> Export.of(held).attachmentToFile(name, file, ifExists));
            files.add(file);
        }
        return files;
    }

    /** Writes the memory, and returns whether it is a clone. */
    boolean memory(Export export, Path file) throws IOException {
        boolean[] cloned = {false};
        write(file, () -> cloned[0] = export.toFile(file, ifExists));
        return cloned[0];
    }

    /**
     * Writes the memory if the target is a block device, and returns how many bytes the device has after the memory.
     */
    OptionalLong memoryToDevice(Export export, Path file) throws IOException {
        return StorageFile.isDevice(posix, file) ? OptionalLong.of(export.toDevice(file, ifExists))
                : OptionalLong.empty();
    }

    /** Keeps all files, once everything is written. */
    void keep() {
        made.clear();
    }

    @Override
    public void close() throws IOException {
        while (!made.isEmpty()) {
            Files.deleteIfExists(made.pop());
        }
    }

    private interface Write {
        void run() throws IOException;
    }

    private void write(Path file, Write write) throws IOException {
        boolean isNew = !Files.exists(file, LinkOption.NOFOLLOW_LINKS);
        write.run();
        if (isNew) {
            made.push(file);
        }
    }
}
