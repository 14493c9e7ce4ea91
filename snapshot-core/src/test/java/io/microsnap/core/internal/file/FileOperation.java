package io.microsnap.core.internal.file;

import static org.assertj.core.api.Assertions.assertThat;

import io.microsnap.core.IfExists;
import io.microsnap.core.internal.posix.Posix;
import java.io.IOException;
import java.lang.foreign.Arena;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.List;

/** What the sweeps do to a directory, over and over: each makes {@code destination} appear, or replaces it. */
enum FileOperation {
    STAGED_NEW(false) {
        @Override
        void run(Posix posix, Path directory) throws IOException {
            stage(posix, directory, IfExists.REFUSE);
        }
    },
    STAGED_REPLACING(true) {
        @Override
        void run(Posix posix, Path directory) throws IOException {
            stage(posix, directory, IfExists.REPLACE);
        }
    },
    SPARSE_COPY(false) {
        @Override
        void run(Posix posix, Path directory) throws IOException {
            copy(posix, directory, CopyOptions.DEFAULTS.with(CopyStrategy.SPARSE));
        }
    },
    SPARSE_COPY_REPLACING(true) {
        @Override
        void run(Posix posix, Path directory) throws IOException {
            copy(posix, directory, CopyOptions.DEFAULTS.with(CopyStrategy.SPARSE).with(IfExists.REPLACE));
        }
    },
    UNSHARED_COPY_REPLACING(true) {
        @Override
        void run(Posix posix, Path directory) throws IOException {
            copy(posix, directory, CopyOptions.DEFAULTS.with(CopyStrategy.UNSHARED).with(IfExists.REPLACE)
                    .with(Durability.DATA));
        }
    },
    CLONE_OR_COPY(true) {
        @Override
        void run(Posix posix, Path directory) throws IOException {
            new FileCopy(new Reflink()).cloneOrCopy(posix, directory.resolve(SOURCE), directory.resolve(DESTINATION));
        }
    };

    private static final String SOURCE = "source";
    private static final String DESTINATION = "destination";
    private static final int PIECE = 16 << 10;
    private static final int LENGTH = 40 * PIECE + 123;
    private static final byte[] OLD = SparseFiles.bytes(5000, 1);

    private final boolean replacing;

    FileOperation(boolean replacing) {
        this.replacing = replacing;
    }

    abstract void run(Posix posix, Path directory) throws IOException;

    /** Puts the directory into the state before the operation. */
    void prepare(Path directory) throws IOException {
        for (String name : SparseFiles.namesIn(directory)) {
            if (!name.equals(SOURCE)) {
                Files.delete(directory.resolve(name));
            }
        }
        if (Files.notExists(directory.resolve(SOURCE))) {
            SparseFiles.make(directory.resolve(SOURCE), LENGTH, PIECE, 0, 9 * PIECE, 38 * PIECE);
        }
        if (replacing) {
            Files.write(directory.resolve(DESTINATION), OLD);
        }
    }

    /** Whether the destination is the old one or absent, as before; else it must be the new one, whole. */
    boolean isAsBefore(Path directory) throws IOException {
        Path destination = directory.resolve(DESTINATION);
        if (Files.notExists(destination)) {
            assertThat(replacing).as("the old file is gone and no new one there").isFalse();
            return true;
        }
        if (replacing && Files.size(destination) == OLD.length) {
            assertThat(destination).hasBinaryContent(OLD);
            return true;
        }
        assertThat(Files.mismatch(destination, directory.resolve(SOURCE))).as("the new file is whole").isEqualTo(-1);
        return false;
    }

    /** What is there besides the two files. */
    static List<String> leftovers(Path directory) throws IOException {
        return SparseFiles.namesIn(directory).stream()
                .filter(name -> !name.equals(SOURCE) && !name.equals(DESTINATION)).toList();
    }

    private static void stage(Posix posix, Path directory, IfExists ifExists) throws IOException {
        byte[] content = Files.readAllBytes(directory.resolve(SOURCE));
        try (StagedFile staged = StagedFile.create(posix, directory.resolve(DESTINATION));
                Arena arena = Arena.ofConfined()) {
            for (int at = 0; at < content.length; at += 10 * PIECE) {
                int length = Math.min(10 * PIECE, content.length - at);
                staged.descriptor().writeFully(arena.allocate(length).copyFrom(
                        java.lang.foreign.MemorySegment.ofArray(content).asSlice(at, length)), at);
            }
            staged.commit(Durability.FULL, ifExists);
        }
    }

    private static void copy(Posix posix, Path directory, CopyOptions options) throws IOException {
        new FileCopy(new Reflink()).copy(posix, directory.resolve(SOURCE), directory.resolve(DESTINATION), options);
    }
}
