package io.microsnap.core.posix;

import static io.microsnap.core.posix.Downcalls.INT;
import static io.microsnap.core.posix.Downcalls.LONG;
import static io.microsnap.core.posix.Downcalls.POINTER;
import static io.microsnap.core.posix.Downcalls.capturing;
import static io.microsnap.core.posix.Downcalls.errnoCapture;
import static io.microsnap.core.posix.Downcalls.function;
import static io.microsnap.core.posix.Downcalls.plain;
import static io.microsnap.core.posix.Downcalls.result;
import static io.microsnap.core.posix.Downcalls.string;
import static io.microsnap.core.posix.Downcalls.unexpected;
import static io.microsnap.core.posix.Downcalls.variadic;

import java.lang.foreign.Arena;
import java.lang.foreign.MemorySegment;
import java.lang.invoke.MethodHandle;
import java.util.List;

/** Linux's glibc, called directly. */
final class LinuxPosix implements Posix {
    private static final int DIRECTORY_BUFFER_BYTES = 32 << 10;
    private static final long USERFAULTFD_X86_64 = 323;
    private static final long USERFAULTFD_AARCH64 = 282;
    // Calls this young have one number on every architecture.
    private static final long PIDFD_OPEN = 434;
    private static final long PIDFD_GETFD = 438;

    private static final MethodHandle OPENAT =
            variadic("openat", 3, function(INT, INT, POINTER, INT, INT));
    private static final MethodHandle CLOSE =
            capturing("close", function(INT, INT));
    private static final MethodHandle PREAD =
            capturing("pread", function(LONG, INT, POINTER, LONG, LONG));
    private static final MethodHandle PWRITE =
            capturing("pwrite", function(LONG, INT, POINTER, LONG, LONG));
    private static final MethodHandle LSEEK =
            capturing("lseek", function(LONG, INT, LONG, INT));
    private static final MethodHandle FTRUNCATE =
            capturing("ftruncate", function(INT, INT, LONG));
    private static final MethodHandle FALLOCATE =
            capturing("fallocate", function(INT, INT, INT, LONG, LONG));
    private static final MethodHandle FSYNC =
            capturing("fsync", function(INT, INT));
    private static final MethodHandle FDATASYNC =
            capturing("fdatasync", function(INT, INT));
    private static final MethodHandle SYNCFS =
            capturing("syncfs", function(INT, INT));
    private static final MethodHandle POSIX_FADVISE =
            plain("posix_fadvise", function(INT, INT, LONG, LONG, INT));
    private static final MethodHandle COPY_FILE_RANGE = capturing("copy_file_range",
            function(LONG, INT, POINTER, INT, POINTER, LONG, INT));
    private static final MethodHandle STATX =
            capturing("statx", function(INT, INT, POINTER, INT, INT, POINTER));
    private static final MethodHandle FSTATFS =
            capturing("fstatfs", function(INT, INT, POINTER));
    private static final MethodHandle GETDENTS64 =
            capturing("getdents64", function(LONG, INT, POINTER, LONG));
    private static final MethodHandle MKDIRAT =
            capturing("mkdirat", function(INT, INT, POINTER, INT));
    private static final MethodHandle UNLINKAT =
            capturing("unlinkat", function(INT, INT, POINTER, INT));
    private static final MethodHandle RENAMEAT2 =
            capturing("renameat2", function(INT, INT, POINTER, INT, POINTER, INT));
    private static final MethodHandle FCHMOD =
            capturing("fchmod", function(INT, INT, INT));
    private static final MethodHandle FCHOWN =
            capturing("fchown", function(INT, INT, INT, INT));
    private static final MethodHandle FUTIMENS =
            capturing("futimens", function(INT, INT, POINTER));
    private static final MethodHandle FLOCK =
            capturing("flock", function(INT, INT, INT));
    private static final MethodHandle FCNTL =
            variadic("fcntl", 2, function(INT, INT, INT, LONG));
    private static final MethodHandle FCNTL_POINTER =
            variadic("fcntl", 2, function(INT, INT, INT, POINTER));
    private static final MethodHandle IOCTL =
            variadic("ioctl", 2, function(INT, INT, LONG, LONG));
    private static final MethodHandle IOCTL_POINTER =
            variadic("ioctl", 2, function(INT, INT, LONG, POINTER));
    private static final MethodHandle FLISTXATTR =
            capturing("flistxattr", function(LONG, INT, POINTER, LONG));
    private static final MethodHandle FGETXATTR =
            capturing("fgetxattr", function(LONG, INT, POINTER, POINTER, LONG));
    private static final MethodHandle FSETXATTR =
            capturing("fsetxattr", function(INT, INT, POINTER, POINTER, LONG, INT));
    private static final MethodHandle MEMFD_CREATE =
            capturing("memfd_create", function(INT, POINTER, INT));
    private static final MethodHandle MMAP =
            capturing("mmap", function(LONG, LONG, LONG, INT, INT, INT, LONG));
    private static final MethodHandle MUNMAP =
            capturing("munmap", function(INT, LONG, LONG));
    private static final MethodHandle MPROTECT =
            capturing("mprotect", function(INT, LONG, LONG, INT));
    private static final MethodHandle MADVISE =
            capturing("madvise", function(INT, LONG, LONG, INT));
    private static final MethodHandle SYSCALL =
            variadic("syscall", 1, function(LONG, LONG, LONG));
    private static final MethodHandle SYSCALL_3 =
            variadic("syscall", 1, function(LONG, LONG, LONG, LONG, LONG));
    private static final MethodHandle GETPAGESIZE = plain("getpagesize", function(INT));
    private static final MethodHandle GETTID = plain("gettid", function(INT));
    private static final MethodHandle MEMCMP =
            plain("memcmp", function(INT, POINTER, POINTER, LONG));
    private static final MethodHandle TGKILL =
            capturing("tgkill", function(INT, INT, INT, INT));
    private static final MethodHandle SIGACTION =
            capturing("sigaction", function(INT, INT, POINTER, POINTER));

    private final Constants constants;
    private final long userfaultfdNumber;

    LinuxPosix(Constants constants) {
        this.constants = constants;
        userfaultfdNumber = constants == Constants.LINUX_X86_64 ? USERFAULTFD_X86_64 : USERFAULTFD_AARCH64;
    }

    @Override
    public Constants constants() {
        return constants;
    }

    @Override
    public int openat(int directory, String path, int flags, int mode) {
        try (Arena arena = Arena.ofConfined()) {
            MemorySegment capture = errnoCapture();
            return result((int) OPENAT.invokeExact(capture, directory, string(arena, path), flags, mode), capture);
        } catch (Throwable thrown) {
            throw unexpected(thrown);
        }
    }

    @Override
    public int close(int descriptor) {
        try {
            MemorySegment capture = errnoCapture();
            return result((int) CLOSE.invokeExact(capture, descriptor), capture);
        } catch (Throwable thrown) {
            throw unexpected(thrown);
        }
    }

    @Override
    public long pread(int descriptor, MemorySegment buffer, long offset) {
        try {
            MemorySegment capture = errnoCapture();
            return result((long) PREAD.invokeExact(capture, descriptor, buffer, buffer.byteSize(), offset), capture);
        } catch (Throwable thrown) {
            throw unexpected(thrown);
        }
    }

    @Override
    public long pwrite(int descriptor, MemorySegment buffer, long offset) {
        try {
            MemorySegment capture = errnoCapture();
            return result((long) PWRITE.invokeExact(capture, descriptor, buffer, buffer.byteSize(), offset), capture);
        } catch (Throwable thrown) {
            throw unexpected(thrown);
        }
    }

    @Override
    public long lseek(int descriptor, long offset, int whence) {
        try {
            MemorySegment capture = errnoCapture();
            return result((long) LSEEK.invokeExact(capture, descriptor, offset, whence), capture);
        } catch (Throwable thrown) {
            throw unexpected(thrown);
        }
    }

    @Override
    public int ftruncate(int descriptor, long length) {
        try {
            MemorySegment capture = errnoCapture();
            return result((int) FTRUNCATE.invokeExact(capture, descriptor, length), capture);
        } catch (Throwable thrown) {
            throw unexpected(thrown);
        }
    }

    @Override
    public int fallocate(int descriptor, int mode, long offset, long length) {
        try {
            MemorySegment capture = errnoCapture();
            return result((int) FALLOCATE.invokeExact(capture, descriptor, mode, offset, length), capture);
        } catch (Throwable thrown) {
            throw unexpected(thrown);
        }
    }

    @Override
    public int fsync(int descriptor) {
        try {
            MemorySegment capture = errnoCapture();
            return result((int) FSYNC.invokeExact(capture, descriptor), capture);
        } catch (Throwable thrown) {
            throw unexpected(thrown);
        }
    }

    @Override
    public int fdatasync(int descriptor) {
        try {
            MemorySegment capture = errnoCapture();
            return result((int) FDATASYNC.invokeExact(capture, descriptor), capture);
        } catch (Throwable thrown) {
            throw unexpected(thrown);
        }
    }

    @Override
    public int syncfs(int descriptor) {
        try {
            MemorySegment capture = errnoCapture();
            return result((int) SYNCFS.invokeExact(capture, descriptor), capture);
        } catch (Throwable thrown) {
            throw unexpected(thrown);
        }
    }

    @Override
    public int posix_fadvise(int descriptor, long offset, long length, int advice) {
        try {
            // Returns the error itself and leaves errno alone.
            return -(int) POSIX_FADVISE.invokeExact(descriptor, offset, length, advice);
        } catch (Throwable thrown) {
            throw unexpected(thrown);
        }
    }

    @Override
    public long copy_file_range(int source, long sourceOffset, int destination, long destinationOffset, long length) {
        try (Arena arena = Arena.ofConfined()) {
            MemorySegment from = arena.allocateFrom(LONG, sourceOffset);
            MemorySegment to = arena.allocateFrom(LONG, destinationOffset);
            MemorySegment capture = errnoCapture();
            return result((long) COPY_FILE_RANGE.invokeExact(capture, source, from, destination, to, length, 0),
                    capture);
        } catch (Throwable thrown) {
            throw unexpected(thrown);
        }
    }

    @Override
    public int fstat(int descriptor, Stat result) {
        return statx(descriptor, "", Statx.AT_EMPTY_PATH, result);
    }

    @Override
    public int fstatat(int directory, String path, Stat result, int flags) {
        return statx(directory, path, flags, result);
    }

    private int statx(int directory, String path, int flags, Stat result) {
        try (Arena arena = Arena.ofConfined()) {
            MemorySegment buffer = arena.allocate(Statx.LAYOUT);
            MemorySegment capture = errnoCapture();
            int answer = result((int) STATX.invokeExact(capture, directory, string(arena, path), flags, Statx.BASIC,
                    buffer), capture);
            if (answer == 0) {
                Statx.read(buffer, result);
            }
            return answer;
        } catch (Throwable thrown) {
            throw unexpected(thrown);
        }
    }

    @Override
    public int fstatfs(int descriptor, FileSystemStat result) {
        try (Arena arena = Arena.ofConfined()) {
            MemorySegment buffer = arena.allocate(StatFs.LAYOUT);
            MemorySegment capture = errnoCapture();
            int answer = result((int) FSTATFS.invokeExact(capture, descriptor, buffer), capture);
            if (answer == 0) {
                StatFs.read(buffer, result);
            }
            return answer;
        } catch (Throwable thrown) {
            throw unexpected(thrown);
        }
    }

    @Override
    public int readdir(int directory, List<String> names) {
        // A description of its own starts at the first entry, however far another reader of the descriptor has come.
        int own = openat(directory, ".", constants.O_RDONLY | constants.O_DIRECTORY | constants.O_CLOEXEC, 0);
        if (own < 0) {
            return own;
        }
        try (Arena arena = Arena.ofConfined()) {
            MemorySegment buffer = arena.allocate(DIRECTORY_BUFFER_BYTES, Long.BYTES);
            while (true) {
                MemorySegment capture = errnoCapture();
                long filled = result((long) GETDENTS64.invokeExact(capture, own, buffer, buffer.byteSize()), capture);
                if (filled <= 0) {
                    return (int) filled;
                }
                DirectoryEntries.read(buffer.asSlice(0, filled), names);
            }
        } catch (Throwable thrown) {
            throw unexpected(thrown);
        } finally {
            close(own);
        }
    }

    @Override
    public int mkdirat(int directory, String path, int mode) {
        try (Arena arena = Arena.ofConfined()) {
            MemorySegment capture = errnoCapture();
            return result((int) MKDIRAT.invokeExact(capture, directory, string(arena, path), mode), capture);
        } catch (Throwable thrown) {
            throw unexpected(thrown);
        }
    }

    @Override
    public int unlinkat(int directory, String path, int flags) {
        try (Arena arena = Arena.ofConfined()) {
            MemorySegment capture = errnoCapture();
            return result((int) UNLINKAT.invokeExact(capture, directory, string(arena, path), flags), capture);
        } catch (Throwable thrown) {
            throw unexpected(thrown);
        }
    }

    @Override
    public int renameat2(int oldDirectory, String oldPath, int newDirectory, String newPath, int flags) {
        try (Arena arena = Arena.ofConfined()) {
            MemorySegment capture = errnoCapture();
            return result((int) RENAMEAT2.invokeExact(capture, oldDirectory, string(arena, oldPath), newDirectory,
                    string(arena, newPath), flags), capture);
        } catch (Throwable thrown) {
            throw unexpected(thrown);
        }
    }

    @Override
    public int fchmod(int descriptor, int mode) {
        try {
            MemorySegment capture = errnoCapture();
            return result((int) FCHMOD.invokeExact(capture, descriptor, mode), capture);
        } catch (Throwable thrown) {
            throw unexpected(thrown);
        }
    }

    @Override
    public int fchown(int descriptor, int owner, int group) {
        try {
            MemorySegment capture = errnoCapture();
            return result((int) FCHOWN.invokeExact(capture, descriptor, owner, group), capture);
        } catch (Throwable thrown) {
            throw unexpected(thrown);
        }
    }

    @Override
    public int futimens(int descriptor, MemorySegment times) {
        try {
            MemorySegment capture = errnoCapture();
            return result((int) FUTIMENS.invokeExact(capture, descriptor, times), capture);
        } catch (Throwable thrown) {
            throw unexpected(thrown);
        }
    }

    @Override
    public int flock(int descriptor, int operation) {
        try {
            MemorySegment capture = errnoCapture();
            return result((int) FLOCK.invokeExact(capture, descriptor, operation), capture);
        } catch (Throwable thrown) {
            throw unexpected(thrown);
        }
    }

    @Override
    public int fcntl(int descriptor, int command, long argument) {
        try {
            MemorySegment capture = errnoCapture();
            return result((int) FCNTL.invokeExact(capture, descriptor, command, argument), capture);
        } catch (Throwable thrown) {
            throw unexpected(thrown);
        }
    }

    @Override
    public int fcntl(int descriptor, int command, MemorySegment argument) {
        try {
            MemorySegment capture = errnoCapture();
            return result((int) FCNTL_POINTER.invokeExact(capture, descriptor, command, argument), capture);
        } catch (Throwable thrown) {
            throw unexpected(thrown);
        }
    }

    @Override
    public int ioctl(int descriptor, long request, long argument) {
        try {
            MemorySegment capture = errnoCapture();
            return result((int) IOCTL.invokeExact(capture, descriptor, request, argument), capture);
        } catch (Throwable thrown) {
            throw unexpected(thrown);
        }
    }

    @Override
    public int ioctl(int descriptor, long request, MemorySegment argument) {
        try {
            MemorySegment capture = errnoCapture();
            return result((int) IOCTL_POINTER.invokeExact(capture, descriptor, request, argument), capture);
        } catch (Throwable thrown) {
            throw unexpected(thrown);
        }
    }

    @Override
    public int fclonefileat(int source, int directory, String destination, int flags) {
        return absent();
    }

    @Override
    public long flistxattr(int descriptor, MemorySegment names) {
        try {
            MemorySegment capture = errnoCapture();
            return result((long) FLISTXATTR.invokeExact(capture, descriptor, names, names.byteSize()), capture);
        } catch (Throwable thrown) {
            throw unexpected(thrown);
        }
    }

    @Override
    public long fgetxattr(int descriptor, String name, MemorySegment value) {
        try (Arena arena = Arena.ofConfined()) {
            MemorySegment capture = errnoCapture();
            return result((long) FGETXATTR.invokeExact(capture, descriptor, string(arena, name), value,
                    value.byteSize()), capture);
        } catch (Throwable thrown) {
            throw unexpected(thrown);
        }
    }

    @Override
    public int fsetxattr(int descriptor, String name, MemorySegment value) {
        try (Arena arena = Arena.ofConfined()) {
            MemorySegment capture = errnoCapture();
            return result((int) FSETXATTR.invokeExact(capture, descriptor, string(arena, name), value,
                    value.byteSize(), 0), capture);
        } catch (Throwable thrown) {
            throw unexpected(thrown);
        }
    }

    @Override
    public int memfd_create(String name, int flags) {
        try (Arena arena = Arena.ofConfined()) {
            MemorySegment capture = errnoCapture();
            return result((int) MEMFD_CREATE.invokeExact(capture, string(arena, name), flags), capture);
        } catch (Throwable thrown) {
            throw unexpected(thrown);
        }
    }

    @Override
    public long mmap(long address, long length, int protection, int flags, int descriptor, long offset) {
        try {
            MemorySegment capture = errnoCapture();
            return result((long) MMAP.invokeExact(capture, address, length, protection, flags, descriptor, offset),
                    capture);
        } catch (Throwable thrown) {
            throw unexpected(thrown);
        }
    }

    @Override
    public int munmap(long address, long length) {
        try {
            MemorySegment capture = errnoCapture();
            return result((int) MUNMAP.invokeExact(capture, address, length), capture);
        } catch (Throwable thrown) {
            throw unexpected(thrown);
        }
    }

    @Override
    public int mprotect(long address, long length, int protection) {
        try {
            MemorySegment capture = errnoCapture();
            return result((int) MPROTECT.invokeExact(capture, address, length, protection), capture);
        } catch (Throwable thrown) {
            throw unexpected(thrown);
        }
    }

    @Override
    public int madvise(long address, long length, int advice) {
        try {
            MemorySegment capture = errnoCapture();
            return result((int) MADVISE.invokeExact(capture, address, length, advice), capture);
        } catch (Throwable thrown) {
            throw unexpected(thrown);
        }
    }

    @Override
    public int userfaultfd(int flags) {
        try {
            MemorySegment capture = errnoCapture();
            return (int) result((long) SYSCALL.invokeExact(capture, userfaultfdNumber, (long) flags), capture);
        } catch (Throwable thrown) {
            throw unexpected(thrown);
        }
    }

    @Override
    public int pidfd_open(int process, int flags) {
        try {
            MemorySegment capture = errnoCapture();
            return (int) result((long) SYSCALL_3.invokeExact(capture, PIDFD_OPEN, (long) process, (long) flags, 0L),
                    capture);
        } catch (Throwable thrown) {
            throw unexpected(thrown);
        }
    }

    @Override
    public int pidfd_getfd(int pidfd, int descriptor, int flags) {
        try {
            MemorySegment capture = errnoCapture();
            return (int) result((long) SYSCALL_3.invokeExact(
                    capture, PIDFD_GETFD, (long) pidfd, (long) descriptor, (long) flags), capture);
        } catch (Throwable thrown) {
            throw unexpected(thrown);
        }
    }

    @Override
    public int gettid() {
        try {
            return (int) GETTID.invokeExact();
        } catch (Throwable thrown) {
            throw unexpected(thrown);
        }
    }

    @Override
    public int getpagesize() {
        try {
            return (int) GETPAGESIZE.invokeExact();
        } catch (Throwable thrown) {
            throw unexpected(thrown);
        }
    }

    @Override
    public int tgkill(int process, int thread, int signal) {
        try {
            MemorySegment capture = errnoCapture();
            return result((int) TGKILL.invokeExact(capture, process, thread, signal), capture);
        } catch (Throwable thrown) {
            throw unexpected(thrown);
        }
    }

    @Override
    public int sigaction(int signal, MemorySegment action, MemorySegment previous) {
        try {
            MemorySegment capture = errnoCapture();
            return result((int) SIGACTION.invokeExact(capture, signal, action, previous), capture);
        } catch (Throwable thrown) {
            throw unexpected(thrown);
        }
    }

    @Override
    public long dlsym(String name) {
        return Downcalls.address(name);
    }

    @Override
    public int memcmp(MemorySegment left, MemorySegment right) {
        if (left.byteSize() != right.byteSize()) {
            throw new IllegalArgumentException(
                    "cannot compare " + left.byteSize() + " bytes with " + right.byteSize());
        }
        try {
            return (int) MEMCMP.invokeExact(left, right, left.byteSize());
        } catch (Throwable thrown) {
            throw unexpected(thrown);
        }
    }

    private int absent() {
        return -Errno.ENOSYS.number(constants);
    }
}
