package io.microsnap.core.internal.posix;

import static io.microsnap.core.internal.posix.Downcall.INT;
import static io.microsnap.core.internal.posix.Downcall.LIBC;
import static io.microsnap.core.internal.posix.Downcall.LONG;
import static io.microsnap.core.internal.posix.Downcall.POINTER;
import static io.microsnap.core.internal.posix.Downcall.unexpected;
import static io.microsnap.core.internal.posix.NativeText.string;
import static io.microsnap.core.internal.posix.ThreadMemory.errno;
import static io.microsnap.core.internal.posix.ThreadMemory.result;
import static io.microsnap.core.internal.posix.ThreadMemory.scratch;

import java.lang.foreign.Arena;
import java.lang.foreign.MemorySegment;
import java.util.List;

/** Linux's glibc, called directly. */
final class LinuxPosix extends Libc {
    private static final int DIRECTORY_BUFFER_BYTES = 32 << 10;
    private static final MemorySegment EMPTY = Arena.global().allocate(1);
    private static final long USERFAULTFD_X86_64 = 323;
    private static final long USERFAULTFD_AARCH64 = 282;
    // Calls this young have one number on every architecture.
    private static final long PIDFD_OPEN = 434;
    private static final long PIDFD_GETFD = 438;

    // As in Libc, each is linked when it is first called.
    private interface Preadv2 { Downcall CALL = Downcall.of(LIBC, "preadv2", LONG, INT, POINTER, INT, LONG, INT); }
    private interface Pwritev2 { Downcall CALL = Downcall.of(LIBC, "pwritev2", LONG, INT, POINTER, INT, LONG, INT); }
    private interface Fallocate { Downcall CALL = Downcall.of(LIBC, "fallocate", INT, INT, INT, LONG, LONG); }
    private interface Fdatasync { Downcall CALL = Downcall.of(LIBC, "fdatasync", INT, INT); }
    private interface Syncfs { Downcall CALL = Downcall.of(LIBC, "syncfs", INT, INT); }
    private interface PosixFadvise {
        Downcall CALL = Downcall.withoutErrno(LIBC, "posix_fadvise", INT, INT, LONG, LONG, INT);
    }
    private interface CopyFileRange {
        Downcall CALL = Downcall.of(LIBC, "copy_file_range", LONG, INT, POINTER, INT, POINTER, LONG, INT);
    }
    private interface StatxCall { Downcall CALL = Downcall.of(LIBC, "statx", INT, INT, POINTER, INT, INT, POINTER); }
    private interface Fstatfs { Downcall CALL = Downcall.of(LIBC, "fstatfs", INT, INT, POINTER); }
    private interface Getdents64 { Downcall CALL = Downcall.of(LIBC, "getdents64", LONG, INT, POINTER, LONG); }
    private interface Mkdirat { Downcall CALL = Downcall.of(LIBC, "mkdirat", INT, INT, POINTER, INT); }
    private interface Renameat2 {
        Downcall CALL = Downcall.of(LIBC, "renameat2", INT, INT, POINTER, INT, POINTER, INT);
    }
    private interface Fchmod { Downcall CALL = Downcall.of(LIBC, "fchmod", INT, INT, INT); }
    private interface Flistxattr { Downcall CALL = Downcall.of(LIBC, "flistxattr", LONG, INT, POINTER, LONG); }
    private interface Fgetxattr { Downcall CALL = Downcall.of(LIBC, "fgetxattr", LONG, INT, POINTER, POINTER, LONG); }
    private interface Fsetxattr {
        Downcall CALL = Downcall.of(LIBC, "fsetxattr", INT, INT, POINTER, POINTER, LONG, INT);
    }
    private interface MemfdCreate { Downcall CALL = Downcall.of(LIBC, "memfd_create", INT, POINTER, INT); }
    private interface Syscall { Downcall CALL = Downcall.variadic(LIBC, "syscall", 1, LONG, LONG, LONG, LONG, LONG); }
    private interface Socket { Downcall CALL = Downcall.of(LIBC, "socket", INT, INT, INT, INT); }
    private interface Connect { Downcall CALL = Downcall.of(LIBC, "connect", INT, INT, POINTER, INT); }
    private interface Getsockopt {
        Downcall CALL = Downcall.of(LIBC, "getsockopt", INT, INT, INT, INT, POINTER, POINTER);
    }
    private interface Gettid { Downcall CALL = Downcall.withoutErrno(LIBC, "gettid", INT); }

    /**
     * Linked together: a caller that sets a handler will send the signal, and that call must not wait for linking
     * because it pauses a guest.
     */
    private interface Signal {
        Downcall SIGACTION = Downcall.of(LIBC, "sigaction", INT, INT, POINTER, POINTER);
        Downcall TGKILL = Downcall.of(LIBC, "tgkill", INT, INT, INT, INT);
    }

    private final long userfaultfdNumber;

    LinuxPosix(Constants constants) {
        super(constants);
        userfaultfdNumber = constants == Constants.LINUX_X86_64 ? USERFAULTFD_X86_64 : USERFAULTFD_AARCH64;
    }

    @Override
    public long preadv2(int descriptor, MemorySegment vectors, long offset, int flags) {
        try {
            MemorySegment errno = errno();
            return result((long) Preadv2.CALL.handle().invokeExact(
                    errno, descriptor, vectors, IoVectors.count(vectors), offset, flags), errno);
        } catch (Throwable thrown) {
            throw unexpected(thrown);
        }
    }

    @Override
    public long pwritev2(int descriptor, MemorySegment vectors, long offset, int flags) {
        try {
            MemorySegment errno = errno();
            return result((long) Pwritev2.CALL.handle().invokeExact(
                    errno, descriptor, vectors, IoVectors.count(vectors), offset, flags), errno);
        } catch (Throwable thrown) {
            throw unexpected(thrown);
        }
    }

    @Override
    public int fallocate(int descriptor, int mode, long offset, long length) {
        try {
            MemorySegment errno = errno();
            return result((int) Fallocate.CALL.handle().invokeExact(errno, descriptor, mode, offset, length), errno);
        } catch (Throwable thrown) {
            throw unexpected(thrown);
        }
    }

    @Override
    public int fdatasync(int descriptor) {
        try {
            MemorySegment errno = errno();
            return result((int) Fdatasync.CALL.handle().invokeExact(errno, descriptor), errno);
        } catch (Throwable thrown) {
            throw unexpected(thrown);
        }
    }

    @Override
    public int syncfs(int descriptor) {
        try {
            MemorySegment errno = errno();
            return result((int) Syncfs.CALL.handle().invokeExact(errno, descriptor), errno);
        } catch (Throwable thrown) {
            throw unexpected(thrown);
        }
    }

    @Override
    public int posix_fadvise(int descriptor, long offset, long length, int advice) {
        try {
            // Returns the error itself and leaves errno alone.
            return -(int) PosixFadvise.CALL.handle().invokeExact(descriptor, offset, length, advice);
        } catch (Throwable thrown) {
            throw unexpected(thrown);
        }
    }

    @Override
    public long copy_file_range(int source, long sourceOffset, int destination, long destinationOffset, long length) {
        try {
            MemorySegment offsets = scratch();
            MemorySegment from = offsets.asSlice(0, Long.BYTES);
            MemorySegment to = offsets.asSlice(Long.BYTES, Long.BYTES);
            from.set(LONG, 0, sourceOffset);
            to.set(LONG, 0, destinationOffset);
            MemorySegment errno = errno();
            return result((long) CopyFileRange.CALL.handle()
                    .invokeExact(errno, source, from, destination, to, length, 0), errno);
        } catch (Throwable thrown) {
            throw unexpected(thrown);
        }
    }

    @Override
    public int fstat(int descriptor, Stat result) {
        return statx(descriptor, EMPTY, Statx.AT_EMPTY_PATH, Statx.BASIC | Statx.DIRECT_ALIGNMENT, result);
    }

    @Override
    public int fstatat(int directory, String path, Stat result, int flags) {
        try (Arena arena = Arena.ofConfined()) {
            return statx(directory, string(arena, path), flags, Statx.BASIC, result);
        }
    }

    private int statx(int directory, MemorySegment path, int flags, int mask, Stat result) {
        try {
            MemorySegment buffer = scratch();
            MemorySegment errno = errno();
            int answer = result((int) StatxCall.CALL.handle()
                    .invokeExact(errno, directory, path, flags, mask, buffer), errno);
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
        try {
            MemorySegment buffer = scratch();
            MemorySegment errno = errno();
            int answer = result((int) Fstatfs.CALL.handle().invokeExact(errno, descriptor, buffer), errno);
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
        // Reopened, so that reading starts at the first entry: the given descriptor's position may be elsewhere.
        int own = openat(directory, ".", constants().O_RDONLY | constants().O_DIRECTORY | constants().O_CLOEXEC, 0);
        if (own < 0) {
            return own;
        }
        try (Arena arena = Arena.ofConfined()) {
            MemorySegment buffer = arena.allocate(DIRECTORY_BUFFER_BYTES, Long.BYTES);
            while (true) {
                MemorySegment errno = errno();
                long filled = result(
                        (long) Getdents64.CALL.handle().invokeExact(errno, own, buffer, buffer.byteSize()), errno);
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
            MemorySegment errno = errno();
            return result((int) Mkdirat.CALL.handle().invokeExact(errno, directory, string(arena, path), mode), errno);
        } catch (Throwable thrown) {
            throw unexpected(thrown);
        }
    }

    @Override
    public int renameat2(int oldDirectory, String oldPath, int newDirectory, String newPath, int flags) {
        try (Arena arena = Arena.ofConfined()) {
            MemorySegment errno = errno();
            return result((int) Renameat2.CALL.handle().invokeExact(errno, oldDirectory, string(arena, oldPath),
                    newDirectory, string(arena, newPath), flags), errno);
        } catch (Throwable thrown) {
            throw unexpected(thrown);
        }
    }

    @Override
    public int fchmod(int descriptor, int mode) {
        try {
            MemorySegment errno = errno();
            return result((int) Fchmod.CALL.handle().invokeExact(errno, descriptor, mode), errno);
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
            MemorySegment errno = errno();
            return result(
                    (long) Flistxattr.CALL.handle().invokeExact(errno, descriptor, names, names.byteSize()), errno);
        } catch (Throwable thrown) {
            throw unexpected(thrown);
        }
    }

    @Override
    public long fgetxattr(int descriptor, String name, MemorySegment value) {
        try (Arena arena = Arena.ofConfined()) {
            MemorySegment errno = errno();
            return result((long) Fgetxattr.CALL.handle().invokeExact(errno, descriptor, string(arena, name), value,
                    value.byteSize()), errno);
        } catch (Throwable thrown) {
            throw unexpected(thrown);
        }
    }

    @Override
    public int fsetxattr(int descriptor, String name, MemorySegment value) {
        try (Arena arena = Arena.ofConfined()) {
            MemorySegment errno = errno();
            return result((int) Fsetxattr.CALL.handle().invokeExact(errno, descriptor, string(arena, name), value,
                    value.byteSize(), 0), errno);
        } catch (Throwable thrown) {
            throw unexpected(thrown);
        }
    }

    @Override
    public int memfd_create(String name, int flags) {
        try (Arena arena = Arena.ofConfined()) {
            MemorySegment errno = errno();
            return result((int) MemfdCreate.CALL.handle().invokeExact(errno, string(arena, name), flags), errno);
        } catch (Throwable thrown) {
            throw unexpected(thrown);
        }
    }

    @Override
    public int userfaultfd(int flags) {
        return syscall(userfaultfdNumber, flags, 0, 0);
    }

    @Override
    public int pidfd_open(int process, int flags) {
        return syscall(PIDFD_OPEN, process, flags, 0);
    }

    @Override
    public int pidfd_getfd(int pidfd, int descriptor, int flags) {
        return syscall(PIDFD_GETFD, pidfd, descriptor, flags);
    }

    /** Makes a system call for which libc has no function. */
    private static int syscall(long number, long first, long second, long third) {
        try {
            MemorySegment errno = errno();
            return (int) result((long) Syscall.CALL.handle().invokeExact(errno, number, first, second, third), errno);
        } catch (Throwable thrown) {
            throw unexpected(thrown);
        }
    }

    @Override
    public int gettid() {
        try {
            return (int) Gettid.CALL.handle().invokeExact();
        } catch (Throwable thrown) {
            throw unexpected(thrown);
        }
    }

    @Override
    public int tgkill(int process, int thread, int signal) {
        try {
            MemorySegment errno = errno();
            return result((int) Signal.TGKILL.handle().invokeExact(errno, process, thread, signal), errno);
        } catch (Throwable thrown) {
            throw unexpected(thrown);
        }
    }

    @Override
    public int sigaction(int signal, MemorySegment action, MemorySegment previous) {
        try {
            MemorySegment errno = errno();
            return result((int) Signal.SIGACTION.handle().invokeExact(errno, signal, action, previous), errno);
        } catch (Throwable thrown) {
            throw unexpected(thrown);
        }
    }

    @Override
    public int socket(int family, int type, int protocol) {
        try {
            MemorySegment errno = errno();
            return result((int) Socket.CALL.handle().invokeExact(errno, family, type, protocol), errno);
        } catch (Throwable thrown) {
            throw unexpected(thrown);
        }
    }

    @Override
    public int connect(int socket, MemorySegment address) {
        try {
            MemorySegment errno = errno();
            return result((int) Connect.CALL.handle()
                    .invokeExact(errno, socket, address, Math.toIntExact(address.byteSize())), errno);
        } catch (Throwable thrown) {
            throw unexpected(thrown);
        }
    }

    @Override
    public int getsockopt(int socket, int level, int option, MemorySegment value) {
        try {
            MemorySegment lengthBytes = scratch().asSlice(0, Integer.BYTES);
            lengthBytes.set(INT, 0, Math.toIntExact(value.byteSize()));
            MemorySegment errno = errno();
            return result((int) Getsockopt.CALL.handle()
                    .invokeExact(errno, socket, level, option, value, lengthBytes), errno);
        } catch (Throwable thrown) {
            throw unexpected(thrown);
        }
    }
}
