package io.microsnap.core.internal.posix;

import io.microsnap.core.SnapshotException;
import java.io.EOFException;
import java.io.IOException;
import java.lang.foreign.MemorySegment;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.EnumSet;
import java.util.List;
import java.util.Optional;
import java.util.Set;
import java.util.concurrent.atomic.AtomicBoolean;
import java.util.function.LongSupplier;

/**
 * An open file that this object owns: closed exactly once, never inherited by a child process. Interrupted calls are
 * repeated and short counts finished here, so that callers need not.
 *
 * <p>Positioned reads and writes may come from any number of threads. Close it when none of them is in a call.
 */
public final class Descriptor implements AutoCloseable {
    // Network and foreign filesystems on macOS return these errors for the stronger kinds of sync.
    private static final Set<Errno> UNKNOWN_CALL =
            EnumSet.of(Errno.ENOTSUP, Errno.EOPNOTSUPP, Errno.ENOTTY, Errno.EINVAL, Errno.ENODEV, Errno.ENOSYS);

    private static final int ACCESS_MODES = 3;

    private final Posix posix;
    private final int number;
    private final String name;
    private final boolean readOnly;
    private final AtomicBoolean closed = new AtomicBoolean();
    private volatile IOException syncFailure;

    private Descriptor(Posix posix, int number, String name, boolean readOnly) {
        this.posix = posix;
        this.number = number;
        this.name = name;
        this.readOnly = readOnly;
    }

    /** Opens a path; the flags are those of {@code open}, close-on-exec is added. */
    public static Descriptor open(Posix posix, Path path, int flags, int mode) throws IOException {
        return openAt(posix, posix.constants().AT_FDCWD, PathNames.of(path), path.toString(), flags, mode);
    }

    /** Takes over a descriptor that is already open; the name is for messages. */
    public static Descriptor adopt(Posix posix, int number, String name) {
        if (number < 0) {
            throw new IllegalArgumentException("descriptor " + number + " for " + name);
        }
        return new Descriptor(posix, number, name, false);
    }

    /**
     * Returns a duplicate of a descriptor that another process has open, such as a memfd or userfaultfd it handed over
     * by number. Linux; needs the right to trace that process.
     */
    public static Descriptor ofProcess(Posix posix, long process, int number, String name) throws IOException {
        int pidfd = posix.pidfd_open(Math.toIntExact(process), 0);
        if (pidfd < 0) {
            throw SystemCallException.of(posix, pidfd, "pidfd_open", "process " + process, "");
        }
        try (Descriptor opened = adopt(posix, pidfd, "process " + process)) {
            return adopt(posix, (int) opened.check("pidfd_getfd", posix.pidfd_getfd(pidfd, number, 0),
                    "of its descriptor " + number), name);
        }
    }

    /** Opens a name in this directory; a symbolic link in its place is not followed. */
    public Descriptor openAt(String child, int flags, int mode) throws IOException {
        return openAt(child, name + "/" + child, flags, mode);
    }

    /** As {@link #openAt(String, int, int)}, with another name for messages: that of the file it stands for. */
    public Descriptor openAt(String child, String knownAs, int flags, int mode) throws IOException {
        return openAt(posix, number(), child, knownAs, flags | posix.constants().O_NOFOLLOW, mode);
    }

    /** Opens the same file once more, with other flags; on Linux, which has a name for every open file. */
    public Descriptor reopened(int flags) throws IOException {
        return openAt(posix, posix.constants().AT_FDCWD, "/proc/self/fd/" + number(), name, flags, 0);
    }

    private static Descriptor openAt(Posix posix, int directory, String path, String name, int flags, int mode)
            throws IOException {
        while (true) {
            int result = posix.openat(directory, path, flags | posix.constants().O_CLOEXEC, mode);
            if (result >= 0) {
                return new Descriptor(posix, result, name, (flags & ACCESS_MODES) == posix.constants().O_RDONLY);
            }
            if (!posix.constants().failedWith(result, Errno.EINTR)) {
                throw SystemCallException.of(posix, result, "open", name, "");
            }
        }
    }

    public Posix posix() {
        return posix;
    }

    /** Returns the name of this file in messages. */
    public String name() {
        return name;
    }

    /** Returns the number, for calls that this class does not offer. */
    public int number() {
        if (closed.get()) {
            throw new IllegalStateException(name + " is closed");
        }
        return number;
    }

    /** Fills the buffer from the offset on, or throws {@link EOFException} if the file ends before. */
    public void readFully(MemorySegment buffer, long offset) throws IOException {
        long read = read(buffer, offset);
        if (read < buffer.byteSize()) {
            throw new EOFException(name + " ends at " + (offset + read) + ", but bytes " + offset + " to "
                    + (offset + buffer.byteSize()) + " were to be read; it is shorter than expected");
        }
    }

    /** Reads until the buffer is full or the file ends, and returns how much that was. */
    public long read(MemorySegment buffer, long offset) throws IOException {
        long done = 0;
        while (done < buffer.byteSize()) {
            MemorySegment rest = done == 0 ? buffer : buffer.asSlice(done);
            long result = posix.pread(number(), rest, offset + done);
            if (result == 0) {
                break;
            }
            if (result > 0) {
                done += result;
            } else if (!posix.constants().failedWith(result, Errno.EINTR)) {
                throw failure("pread", result, offset + done, rest.byteSize());
            }
        }
        return done;
    }

    /** Writes the whole buffer at the offset. */
    public void writeFully(MemorySegment buffer, long offset) throws IOException {
        long done = 0;
        while (done < buffer.byteSize()) {
            MemorySegment rest = done == 0 ? buffer : buffer.asSlice(done);
            long result = posix.pwrite(number(), rest, offset + done);
            if (result > 0) {
                done += result;
            } else if (result == 0) {
                throw new SnapshotException(name + ": pwrite of " + rest.byteSize() + " bytes at " + (offset + done)
                        + " made no progress");
            } else if (!posix.constants().failedWith(result, Errno.EINTR)) {
                throw failure("pwrite", result, offset + done, rest.byteSize());
            }
        }
    }

    public Stat status() throws IOException {
        Stat stat = new Stat();
        check("fstat", uninterrupted(() -> posix.fstat(number(), stat)), "");
        return stat;
    }

    /** Returns the status of the filesystem that holds this file. */
    public FileSystemStat fileSystem() throws IOException {
        FileSystemStat result = new FileSystemStat();
        check("fstatfs", uninterrupted(() -> posix.fstatfs(number(), result)), "");
        return result;
    }

    public long sizeBytes() throws IOException {
        return status().sizeBytes();
    }

    /** Sets the length; an added range reads as zeros and takes no space. */
    public void truncate(long lengthBytes) throws IOException {
        check("ftruncate", uninterrupted(() -> posix.ftruncate(number(), lengthBytes)),
                "to " + lengthBytes + " bytes");
    }

    /**
     * Makes content and metadata durable. A failure is final: the kernel may have dropped what it could not write,
     * so every later call fails with the first one's cause.
     */
    public void sync() throws IOException {
        int full = posix.constants().F_FULLFSYNC;
        if (full != 0 && synced("fcntl(F_FULLFSYNC)", () -> posix.fcntl(number(), full, 0), true)) {
            return;
        }
        synced("fsync", () -> posix.fsync(number()), false);
    }

    /**
     * As {@link #sync}, but on macOS no further than to the device, which may keep it in a cache that does not outlive
     * a power failure.
     */
    public void syncToDevice() throws IOException {
        synced("fsync", () -> posix.fsync(number()), false);
    }

    /**
     * Makes the content durable, with the metadata that reading it needs; on macOS, orders it before all later writes.
     * A failure is as final as that of {@link #sync}.
     */
    public void syncData() throws IOException {
        int barrier = posix.constants().F_BARRIERFSYNC;
        if (barrier != 0 && synced("fcntl(F_BARRIERFSYNC)", () -> posix.fcntl(number(), barrier, 0), true)) {
            return;
        }
        synced("fdatasync", () -> posix.fdatasync(number()), false);
    }

    /** Returns false only if the filesystem does not know the call and the caller has another one. */
    private boolean synced(String call, LongSupplier raw, boolean mayBeUnknown) throws IOException {
        if (syncFailure != null) {
            throw new SnapshotException(name + ": an earlier sync failed, and what it covered may be lost",
                    syncFailure);
        }
        long result = uninterrupted(raw);
        if (result >= 0) {
            return true;
        }
        if (mayBeUnknown && UNKNOWN_CALL.contains(posix.constants().errno(result))) {
            return false;
        }
        syncFailure = SystemCallException.of(posix, result, call, name, "");
        throw syncFailure;
    }

    /** Sets the permission bits. */
    public void permissions(int mode) throws IOException {
        check("fchmod", uninterrupted(() -> posix.fchmod(number(), mode)), "to " + Integer.toOctalString(mode));
    }

    /** Gives the file to a group. */
    public void group(int group) throws IOException {
        check("fchown", uninterrupted(() -> posix.fchown(number(), -1, group)), "to group " + group);
    }

    /**
     * Takes a lock on the whole file ({@code flock}) without waiting. Closing this descriptor, or the end of the
     * process, releases it. Returns false if another lock is in the way.
     */
    public boolean tryLock(boolean exclusive) throws IOException {
        Constants constants = posix.constants();
        int operation = (exclusive ? constants.LOCK_EX : constants.LOCK_SH) | constants.LOCK_NB;
        long result = uninterrupted(() -> posix.flock(number(), operation));
        if (constants.failedWith(result, Errno.EAGAIN)) {
            return false;
        }
        check("flock", result, "");
        return true;
    }

    /** As {@link #tryLock}, exclusive, but waits while another lock is in the way. */
    public void lock() throws IOException {
        check("flock", uninterrupted(() -> posix.flock(number(), posix.constants().LOCK_EX)), "");
    }

    /** Returns the status of a name in this directory, if it exists; for a symbolic link, that of the link itself. */
    public Optional<Stat> statusAt(String child) throws IOException {
        Constants constants = posix.constants();
        Stat stat = new Stat();
        long result = uninterrupted(() ->
                posix.fstatat(number(), child, stat, constants.AT_SYMLINK_NOFOLLOW));
        if (constants.failedWith(result, Errno.ENOENT)) {
            return Optional.empty();
        }
        checkChild("fstatat", result, child);
        return Optional.of(stat);
    }

    /** Returns the names in this directory, in no order. */
    public List<String> names() throws IOException {
        List<String> names = new ArrayList<>();
        long result = uninterrupted(() -> {
            names.clear();
            return posix.readdir(number(), names);
        });
        check("readdir", result, "");
        return names;
    }

    /** Removes a file's name from this directory; false if it was not there. */
    public boolean removeAt(String child) throws IOException {
        long result = uninterrupted(() -> posix.unlinkat(number(), child, 0));
        if (posix.constants().failedWith(result, Errno.ENOENT)) {
            return false;
        }
        checkChild("unlinkat", result, child);
        return true;
    }

    /** Makes a directory; throws {@link java.nio.file.FileAlreadyExistsException} if the name is taken. */
    public void makeDirectoryAt(String child, int mode) throws IOException {
        checkChild("mkdirat", uninterrupted(() -> posix.mkdirat(number(), child, mode)), child);
    }

    /** Removes an empty directory; false if it was not there. */
    public boolean removeDirectoryAt(String child) throws IOException {
        long result = uninterrupted(() -> posix.unlinkat(number(), child, posix.constants().AT_REMOVEDIR));
        if (posix.constants().failedWith(result, Errno.ENOENT)) {
            return false;
        }
        checkChild("unlinkat", result, child);
        return true;
    }

    /** Renames within this directory; the flags are those of {@code renameat2}. */
    public void renameAt(String child, String newName, int flags) throws IOException {
        renameAt(child, this, newName, flags);
    }

    /** Renames into another directory of the same filesystem; the flags are those of {@code renameat2}. */
    public void renameAt(String child, Descriptor newDirectory, String newName, int flags) throws IOException {
        long result = uninterrupted(
                () -> posix.renameat2(number(), child, newDirectory.number(), newName, flags));
        if (result < 0) {
            throw SystemCallException.of(posix, result, "renameat2", newDirectory + "/" + newName,
                    "from " + (newDirectory == this ? child : name + "/" + child));
        }
    }

    /** Repeats a raw call on this file while a signal interrupts it. */
    public long uninterrupted(LongSupplier call) {
        while (true) {
            long result = call.getAsLong();
            if (!posix.constants().failedWith(result, Errno.EINTR)) {
                return result;
            }
        }
    }

    private void checkChild(String call, long result, String child) throws IOException {
        if (result < 0) {
            throw SystemCallException.of(posix, result, call, name + "/" + child, "");
        }
    }

    /** Throws the exception for a raw result that means failure; otherwise returns the result. */
    public long check(String call, long result, String detail) throws IOException {
        if (result < 0) {
            throw SystemCallException.of(posix, result, call, name, detail);
        }
        return result;
    }

    /**
     * Closes the file; a second call does nothing. A failure means that written data may be lost, so closing a file
     * that was open for reading only reports none. The file is closed even if this throws.
     */
    @Override
    public void close() throws IOException {
        if (closed.compareAndSet(false, true)) {
            int result = posix.close(number);
            boolean harmless = posix.constants().failedWith(result, Errno.EINTR)
                    || (readOnly && !posix.constants().failedWith(result, Errno.EBADF));
            if (result < 0 && !harmless) {
                throw SystemCallException.of(posix, result, "close", name, "");
            }
        }
    }

    @Override
    public String toString() {
        return name;
    }

    private IOException failure(String call, long result, long offset, long lengthBytes) {
        return SystemCallException.of(posix, result, call, name, "of " + lengthBytes + " bytes at " + offset);
    }
}
