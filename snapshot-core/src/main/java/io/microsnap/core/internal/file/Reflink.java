package io.microsnap.core.internal.file;

import io.microsnap.core.IfExists;
import io.microsnap.core.SnapshotException;
import io.microsnap.core.internal.posix.BlockSharing;
import io.microsnap.core.internal.posix.Constants;
import io.microsnap.core.internal.posix.Descriptor;
import io.microsnap.core.internal.posix.Errno;
import io.microsnap.core.internal.posix.ExtentAttributes;
import io.microsnap.core.internal.posix.FileSystemStat;
import io.microsnap.core.internal.posix.OperatingSystem;
import io.microsnap.core.internal.posix.Posix;
import io.microsnap.core.internal.posix.SystemCallException;
import java.io.IOException;
import java.lang.foreign.Arena;
import java.lang.foreign.MemorySegment;
import java.nio.file.NoSuchFileException;
import java.nio.file.Path;
import java.util.EnumSet;
import java.util.Map;
import java.util.Set;
import java.util.concurrent.ConcurrentHashMap;
import java.util.function.LongSupplier;

/**
 * Makes files share their blocks, where the filesystem can: a clone costs no space until one side is written, and
 * neither side ever sees the other's writes.
 *
 * <p>Remembers which pairs of devices cannot share blocks, and does not ask the system again: keep one object for as
 * long as the filesystems stay mounted. Any number of threads may use it.
 */
public final class Reflink {
    private static final Set<Errno> PAIR_CANNOT = EnumSet.of(
            Errno.EOPNOTSUPP, Errno.ENOTSUP, Errno.ENOTTY, Errno.ENOSYS, Errno.EXDEV);
    private static final Set<Errno> NO_SUCH_ATTRIBUTE = EnumSet.of(
            Errno.EOPNOTSUPP, Errno.ENOTSUP, Errno.ENOTTY, Errno.ENOSYS, Errno.EINVAL);
    private static final long MOST_TO_DEDUPE_AT_ONCE = 16L << 20;
    private static final long PROBE_BYTES = 64 << 10;

    private final Map<DevicePair, Errno> cannot = new ConcurrentHashMap<>();

    private record DevicePair(long source, long destination) {
    }

    /**
     * Replaces a staged file's content by a clone of the source. Get the staged file's descriptor anew afterwards.
     */
    public ReflinkOutcome cloneInto(Descriptor source, StagedFile destination) throws IOException {
        if (clonesIntoNewNamesOnly(source)) {
            Errno known = cannot.get(devices(source, destination.descriptor()));
            if (known != null) {
                return unsupported(known);
            }
            try {
                destination.makeAgain((directory, name, knownAs) -> clonedName(source, directory, name, knownAs));
            } catch (SystemCallException failure) {
                destination.makeAgain(StagedFile::makeEmpty);
                return outcome(failure, source, destination.descriptor());
            }
            return new ReflinkOutcome.Cloned();
        }
        return cloneOver(source, destination.descriptor());
    }

    /**
     * Makes the destination a clone of the source. Throws {@link java.nio.file.FileAlreadyExistsException}, and leaves
     * the file as it is, if the destination exists.
     */
    public ReflinkOutcome clone(Posix posix, Path source, Path destination, Durability durability)
            throws IOException {
        Descriptor open;
        try {
            open = Source.open(posix, source);
        } catch (NoSuchFileException gone) {
            return new ReflinkOutcome.SourceVanished();
        }
        try (open; StagedFile staged = StagedFile.create(posix, destination)) {
            ReflinkOutcome outcome = cloneInto(open, staged);
            if (outcome.isCloned()) {
                staged.commit(durability, IfExists.REFUSE);
            }
            return outcome;
        }
    }

    /**
     * Replaces an open file's content by a clone of the source. Unsupported where the system clones only into new
     * names.
     */
    public ReflinkOutcome cloneContent(Descriptor source, Descriptor destination) throws IOException {
        return clonesIntoNewNamesOnly(source) ? unsupported(Errno.ENOTSUP) : cloneOver(source, destination);
    }

    /**
     * Replaces a range of the destination by a range of the source, without copying. Offsets and length are multiples
     * of the filesystem's block, save a length that ends at the source's end.
     */
    public ReflinkOutcome cloneRange(Descriptor source, long sourceOffset, Descriptor destination, long offset,
            long lengthBytes) throws IOException {
        Extents.requireRange(source, sourceOffset, lengthBytes);
        Extents.requireRange(destination, offset, lengthBytes);
        if (lengthBytes == 0) {
            // The system takes length zero for "all the rest".
            return new ReflinkOutcome.Cloned();
        }
        return attempt("ioctl(FICLONERANGE)", source, destination, () -> BlockSharing.cloneRange(
                destination.posix(), destination.number(), offset, source.number(), sourceOffset, lengthBytes));
    }

    /**
     * Shares a range of the source with the destination where the kernel, which compares the bytes itself, finds them
     * equal. Neither file changes in content, times or attributes; the destination may be open for reading only.
     */
    public DedupeOutcome dedupeRange(Descriptor source, long sourceOffset, Descriptor destination, long offset,
            long lengthBytes) throws IOException {
        Extents.requireRange(source, sourceOffset, lengthBytes);
        Extents.requireRange(destination, offset, lengthBytes);
        Posix posix = source.posix();
        long done = 0;
        while (done < lengthBytes) {
            long from = done;
            long wanted = Math.min(lengthBytes - done, MOST_TO_DEDUPE_AT_ONCE);
            long result = destination.uninterrupted(() -> BlockSharing.dedupeRange(
                    posix, destination.number(), offset + from, source.number(), sourceOffset + from, wanted));
            if (result == Long.MAX_VALUE) {
                return new DedupeOutcome.Different(done);
            }
            if (result < 0) {
                Errno errno = posix.constants().errno(result);
                if (errno == Errno.EINVAL || PAIR_CANNOT.contains(errno)) {
                    return new DedupeOutcome.Unsupported(done, errno, reason(errno));
                }
                throw SystemCallException.of(posix, result, "ioctl(FIDEDUPERANGE)", destination.name(),
                        "of " + (lengthBytes - done) + " bytes at " + (offset + done) + " with " + source.name());
            }
            if (result == 0) {
                throw new SnapshotException(destination.name() + ": sharing " + (lengthBytes - done) + " bytes at "
                        + (offset + done) + " with " + source.name() + " made no progress");
            }
            done += result;
        }
        return new DedupeOutcome.Shared(done);
    }

    /**
     * Returns whether {@link #dedupeRange} works between these two files, as far as a request for zero bytes tells.
     */
    public DedupeOutcome mayDedupe(Descriptor source, Descriptor destination) throws IOException {
        Posix posix = source.posix();
        long result = destination.uninterrupted(
                () -> BlockSharing.dedupeRange(posix, destination.number(), 0, source.number(), 0, 0));
        Errno errno = posix.constants().errno(result);
        if (errno == Errno.EINVAL || PAIR_CANNOT.contains(errno)) {
            return new DedupeOutcome.Unsupported(0, errno, reason(errno));
        }
        destination.check("ioctl(FIDEDUPERANGE)", result, "of no bytes with " + source.name());
        return new DedupeOutcome.Shared(0);
    }

    /** Tests whether files in a directory can be cloned there; leaves nothing behind. */
    public ReflinkOutcome probe(Descriptor directory) throws IOException {
        try (StagedFile source = StagedFile.create(directory, "probe");
                StagedFile destination = StagedFile.create(directory, "probe");
                Arena arena = Arena.ofConfined()) {
            MemorySegment content = arena.allocate(PROBE_BYTES);
            content.fill((byte) 1);
            source.descriptor().writeFully(content, 0);
            ReflinkOutcome outcome = cloneInto(source.descriptor(), destination);
            if (outcome.isCloned()) {
                requireContent(destination.descriptor(), content);
            }
            return outcome;
        }
    }

    /** As {@link #probe(Descriptor)}. */
    public ReflinkOutcome probe(Posix posix, Path directory) throws IOException {
        int flags = posix.constants().O_RDONLY | posix.constants().O_DIRECTORY;
        try (Descriptor open = Descriptor.open(posix, directory, flags, 0)) {
            return probe(open);
        }
    }

    private static void requireContent(Descriptor clone, MemorySegment expected) throws IOException {
        try (Arena arena = Arena.ofConfined()) {
            MemorySegment found = arena.allocate(expected.byteSize());
            clone.readFully(found, 0);
            if (found.mismatch(expected) >= 0) {
                throw new SnapshotException(clone.name() + ": the clone differs from its source at byte "
                        + found.mismatch(expected) + "; do not trust clones on this filesystem");
            }
        }
    }

    private ReflinkOutcome cloneOver(Descriptor source, Descriptor destination) throws IOException {
        ReflinkOutcome outcome = attempt("ioctl(FICLONE)", source, destination,
                () -> BlockSharing.clone(destination.posix(), destination.number(), source.number()));
        if (outcome.isCloned()) {
            keepChangesSmall(destination);
        }
        return outcome;
    }

    private ReflinkOutcome attempt(String call, Descriptor source, Descriptor destination, LongSupplier raw)
            throws IOException {
        Posix posix = destination.posix();
        DevicePair devices = devices(source, destination);
        Errno known = cannot.get(devices);
        if (known != null) {
            return unsupported(known);
        }
        long result = destination.uninterrupted(raw);
        if (result >= 0) {
            return new ReflinkOutcome.Cloned();
        }
        return outcome(posix.constants().errno(result), devices,
                SystemCallException.of(posix, result, call, destination.name(), "from " + source.name()));
    }

    private ReflinkOutcome outcome(SystemCallException failure, Descriptor source, Descriptor destination)
            throws IOException {
        return outcome(failure.errno(), devices(source, destination), failure);
    }

    private ReflinkOutcome outcome(Errno errno, DevicePair devices, IOException failure) throws IOException {
        if (errno == Errno.ESTALE) {
            return new ReflinkOutcome.SourceVanished();
        }
        if (errno == Errno.EINVAL) {
            return unsupported(errno);
        }
        if (!PAIR_CANNOT.contains(errno)) {
            throw failure;
        }
        // Two mounts of one filesystem have one device number: there EXDEV concerns the mounts.
        if (errno != Errno.EXDEV || devices.source() != devices.destination()) {
            cannot.put(devices, errno);
        }
        return unsupported(errno);
    }

    private static DevicePair devices(Descriptor source, Descriptor destination) throws IOException {
        return new DevicePair(source.status().device(), destination.status().device());
    }

    private static ReflinkOutcome unsupported(Errno errno) {
        return new ReflinkOutcome.Unsupported(errno, reason(errno));
    }

    private static String reason(Errno errno) {
        return switch (errno) {
            case EXDEV -> "EXDEV: source and destination lie on different filesystems";
            case EINVAL -> "EINVAL: this file or range cannot be cloned";
            case ENOSYS -> "ENOSYS: the operating system cannot clone files";
            default -> errno + ": the filesystem cannot clone files";
        };
    }

    private static boolean clonesIntoNewNamesOnly(Descriptor file) {
        return file.posix().constants().operatingSystem() == OperatingSystem.MACOS;
    }

    private static Descriptor clonedName(Descriptor source, Descriptor directory, String name, String knownAs)
            throws IOException {
        Posix posix = directory.posix();
        Constants constants = posix.constants();
        int flags = constants.CLONE_NOFOLLOW | constants.CLONE_NOOWNERCOPY;
        long result = directory.uninterrupted(
                () -> posix.fclonefileat(source.number(), directory.number(), name, flags));
        if (result < 0) {
            throw SystemCallException.of(posix, result, "fclonefileat", knownAs, "from " + source.name());
        }
        try {
            // The clone has the source's mode, which may deny its owner write access.
            try (Descriptor made = directory.openAt(name, knownAs, constants.O_RDONLY, 0)) {
                made.permissions(StagedFile.PRIVATE);
            }
            return directory.openAt(name, knownAs, constants.O_RDWR, 0);
        } catch (Throwable failure) {
            try {
                directory.removeAt(name);
            } catch (IOException second) {
                failure.addSuppressed(second);
            }
            throw failure;
        }
    }

    /** On XFS, makes each change to a clone take only the space it needs instead of 128 KiB. */
    private static void keepChangesSmall(Descriptor clone) throws IOException {
        Posix posix = clone.posix();
        FileSystemStat fileSystem = clone.fileSystem();
        if (fileSystem.type() != FileSystemStat.XFS) {
            return;
        }
        long result = clone.uninterrupted(
                () -> ExtentAttributes.setCopyOnWriteBytes(posix, clone.number(), (int) fileSystem.blockSizeBytes()));
        if (!NO_SUCH_ATTRIBUTE.contains(posix.constants().errno(result))) {
            clone.check("ioctl(FS_IOC_FSSETXATTR)", result, "of the copy-on-write extent size");
        }
    }
}
