package io.microsnap.core.internal.posix;

import io.microsnap.core.SnapshotException;
import java.io.IOException;
import java.nio.file.AccessDeniedException;
import java.nio.file.DirectoryNotEmptyException;
import java.nio.file.FileAlreadyExistsException;
import java.nio.file.NoSuchFileException;
import java.nio.file.NotDirectoryException;

/** A system call failed, and {@code java.nio.file} has no exception for the reason. */
public final class SystemCallException extends SnapshotException {
    private static final long serialVersionUID = 1L;

    private final String call;
    private final Errno errno;

    private SystemCallException(String message, String call, Errno errno) {
        super(message);
        this.call = call;
        this.errno = errno;
    }

    /**
     * Returns the exception for a raw result.
     *
     * @param posix the interface that made the call
     * @param result the raw result, below zero
     * @param call the function's name in libc
     * @param file the file it was about
     * @param detail what was attempted, such as the range; may be empty
     */
    public static IOException of(Posix posix, long result, String call, String file, String detail) {
        Errno errno = posix.constants().errno(result);
        String what = call + (detail.isEmpty() ? "" : " " + detail) + " failed with "
                + (errno == Errno.UNKNOWN ? "error " + -result : errno.name()) + remedy(errno);
        return switch (errno) {
            case ENOENT -> new NoSuchFileException(file, null, what);
            case EACCES, EPERM -> new AccessDeniedException(file, null, what);
            case EEXIST -> new FileAlreadyExistsException(file, null, what);
            case ENOTDIR -> new NotADirectory(file, what);
            case ENOTEMPTY -> new NotEmpty(file, what);
            default -> new SystemCallException(file + ": " + what, call, errno);
        };
    }

    /** Returns the function that failed. */
    public String call() {
        return call;
    }

    /** Why. */
    public Errno errno() {
        return errno;
    }

    private static String remedy(Errno errno) {
        return switch (errno) {
            case ENOSPC -> ": the filesystem is full; free space on it or use another";
            case EDQUOT -> ": the disk quota is used up; free space or have it raised";
            case EROFS -> ": the filesystem is mounted read-only";
            case EACCES, EPERM -> ": check the owner, the modes and the privileges of this process";
            case EIO -> ": the storage failed; see the kernel's log before trusting it again";
            case EMFILE -> ": this process has too many open files; raise its limit (ulimit -n)";
            case ENFILE -> ": the system has too many open files";
            case ENOMEM -> ": out of memory, or of mappings (vm.max_map_count)";
            case ELOOP -> ": a symbolic link is in the way, and links are not followed";
            case EISDIR -> ": it is a directory";
            case ENAMETOOLONG -> ": the name is too long for the filesystem";
            case ECONNREFUSED -> ": no process listens on it";
            case EBUSY -> ": it is in use: mounted, or opened exclusively by another process";
            case ETXTBSY -> ": it is being executed";
            case EFBIG -> ": larger than the filesystem or the process limit allows (ulimit -f)";
            default -> "";
        };
    }

    /** The standard exception has no room for a reason. */
    private static final class NotADirectory extends NotDirectoryException {
        private static final long serialVersionUID = 1L;
        private final String reason;

        NotADirectory(String file, String reason) {
            super(file);
            this.reason = reason;
        }

        @Override
        public String getReason() {
            return reason;
        }
    }

    private static final class NotEmpty extends DirectoryNotEmptyException {
        private static final long serialVersionUID = 1L;
        private final String reason;

        NotEmpty(String file, String reason) {
            super(file);
            this.reason = reason;
        }

        @Override
        public String getReason() {
            return reason;
        }
    }
}
