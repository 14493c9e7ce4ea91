package io.microsnap.core.internal.file;

import io.microsnap.core.IfExists;
import io.microsnap.core.Progress;
import io.microsnap.core.SnapshotException;
import io.microsnap.core.internal.posix.Descriptor;
import io.microsnap.core.internal.posix.PathNames;
import io.microsnap.core.internal.posix.Posix;
import io.microsnap.core.internal.posix.Stat;
import java.io.IOException;
import java.nio.file.FileAlreadyExistsException;
import java.nio.file.FileSystemException;
import java.nio.file.NoSuchFileException;
import java.nio.file.Path;
import java.time.Duration;
import java.util.Optional;

/**
 * Copies files, and block devices by their paths, without ever filling their holes, by sharing blocks where the
 * filesystem can. The destination is there whole or not at all: it is written as a {@link StagedFile}. A device as
 * destination is written in place.
 *
 * <p>Any number of threads may use one.
 */
public final class FileCopy {
    private final Reflink reflink;

    /** Makes a copier that shares this {@code Reflink}'s knowledge of which devices cannot clone. */
    public FileCopy(Reflink reflink) {
        this.reflink = reflink;
    }

    /** Clones or copies, fully durable, in place of a destination that is there already. */
    public CopyResult cloneOrCopy(Posix posix, Path source, Path destination) throws IOException {
        return copy(posix, source, destination, CopyOptions.DEFAULTS.with(IfExists.REPLACE));
    }

    /** Copies one path to another; a link is followed where it leads to the source, and refused as destination. */
    public CopyResult copy(Posix posix, Path source, Path destination, CopyOptions options) throws IOException {
        if (DeviceCopy.isWanted(posix, source, destination)) {
            return DeviceCopy.copy(posix, source, destination, options);
        }
        try (Descriptor open = Source.open(posix, source);
                Descriptor directory = Destination.open(posix, destination).directory()) {
            return copy(open, directory, PathNames.last(destination), options);
        }
    }

    /**
     * Copies an open file to a name in a directory. The copy is as long as the source was at the start: what is
     * appended meanwhile is left out, a source that becomes shorter is an error.
     */
    public CopyResult copy(Descriptor source, Descriptor directory, String name, CopyOptions options)
            throws IOException {
        long start = System.nanoTime();
        Stat status = source.status();
        Source.requirePlainFile(source, status);
        refuseExisting(source, status, new Destination(directory, name), options.ifExists());
        try (StagedFile staged = StagedFile.create(directory, name)) {
            CopyMethod method = CopyMethod.CLONED;
            long dataBytes = 0;
            if (!cloned(source, staged, options.strategy())) {
                boolean mayShare = options.strategy() != CopyStrategy.UNSHARED;
                try (DataCopy copy = new DataCopy(source, staged.descriptor(), mayShare, options.progress())) {
                    copy.run(status);
                    method = copy.method();
                    dataBytes = copy.movedBytes();
                }
            }
            long sizeBytes = staged.descriptor().sizeBytes();
            options.progress().advanced(sizeBytes, sizeBytes);
            staged.descriptor().permissions(options.modeFor(status.permissions()));
            staged.commit(options.durability(), options.ifExists());
            return new CopyResult(method, sizeBytes, dataBytes, Duration.ofNanos(System.nanoTime() - start));
        }
    }

    /**
     * Fills an empty file, which nothing else uses yet, with the content of another. Holes stay holes; the system may
     * share blocks where it can. When this throws, the file holds part of the content.
     */
    public static CopyMethod fill(Descriptor source, Descriptor empty, Progress progress) throws IOException {
        Stat status = source.status();
        Source.requirePlainFile(source, status);
        try (DataCopy copy = new DataCopy(source, empty, true, progress)) {
            copy.run(status);
            return copy.method();
        }
    }

    private boolean cloned(Descriptor source, StagedFile staged, CopyStrategy strategy) throws IOException {
        if (strategy != CopyStrategy.AUTO && strategy != CopyStrategy.REFLINK) {
            return false;
        }
        return switch (reflink.cloneInto(source, staged)) {
            case ReflinkOutcome.Cloned() -> true;
            case ReflinkOutcome.SourceVanished() ->
                    throw new NoSuchFileException(source.name(), null, "it vanished while being copied");
            case ReflinkOutcome.Unsupported unsupported when strategy == CopyStrategy.REFLINK ->
                    throw new SnapshotException(staged.destinationName() + " cannot be a clone of " + source.name()
                            + " (" + unsupported.reason() + "); copy it instead");
            case ReflinkOutcome.Unsupported unsupported -> false;
        };
    }

    /** Checks the destination before anything is opened for writing. */
    private static void refuseExisting(Descriptor source, Stat status, Destination destination, IfExists ifExists)
            throws IOException {
        Optional<Stat> existing = destination.directory().statusAt(destination.name());
        if (existing.isEmpty()) {
            return;
        }
        if (existing.get().sameFile(status)) {
            throw new FileSystemException(source.name(), destination.toString(), "both names are the same file");
        }
        if (ifExists == IfExists.REFUSE) {
            throw new FileAlreadyExistsException(destination.toString());
        }
    }
}
