package io.microsnap.core.internal.posix;

import static io.microsnap.core.internal.posix.Downcall.INT;
import static io.microsnap.core.internal.posix.Downcall.LIBC;
import static io.microsnap.core.internal.posix.Downcall.LONG;
import static io.microsnap.core.internal.posix.Downcall.POINTER;
import static io.microsnap.core.internal.posix.Downcall.unexpected;
import static io.microsnap.core.internal.posix.NativeText.string;
import static io.microsnap.core.internal.posix.ThreadMemory.errno;
import static io.microsnap.core.internal.posix.ThreadMemory.result;

import java.lang.foreign.Arena;
import java.lang.foreign.MemorySegment;

/** The calls that are the same on every platform: name, arguments and meaning. */
abstract class Libc implements Posix {
    // Each interface is initialized, and its function linked, at the first call: linking generates classes and machine
    // code, and no program calls all functions.
    private interface Openat { Downcall CALL = Downcall.variadic(LIBC, "openat", 3, INT, INT, POINTER, INT, INT); }
    private interface Close { Downcall CALL = Downcall.of(LIBC, "close", INT, INT); }
    private interface Pread { Downcall CALL = Downcall.of(LIBC, "pread", LONG, INT, POINTER, LONG, LONG); }
    private interface Pwrite { Downcall CALL = Downcall.of(LIBC, "pwrite", LONG, INT, POINTER, LONG, LONG); }
    private interface Lseek { Downcall CALL = Downcall.of(LIBC, "lseek", LONG, INT, LONG, INT); }
    private interface Ftruncate { Downcall CALL = Downcall.of(LIBC, "ftruncate", INT, INT, LONG); }
    private interface Fsync { Downcall CALL = Downcall.of(LIBC, "fsync", INT, INT); }
    private interface Unlinkat { Downcall CALL = Downcall.of(LIBC, "unlinkat", INT, INT, POINTER, INT); }
    private interface Fchown { Downcall CALL = Downcall.of(LIBC, "fchown", INT, INT, INT, INT); }
    private interface Futimens { Downcall CALL = Downcall.of(LIBC, "futimens", INT, INT, POINTER); }
    private interface Flock { Downcall CALL = Downcall.of(LIBC, "flock", INT, INT, INT); }
    private interface Fcntl { Downcall CALL = Downcall.variadic(LIBC, "fcntl", 2, INT, INT, INT, LONG); }
    private interface FcntlPointer { Downcall CALL = Downcall.variadic(LIBC, "fcntl", 2, INT, INT, INT, POINTER); }
    private interface Ioctl { Downcall CALL = Downcall.variadic(LIBC, "ioctl", 2, INT, INT, LONG, LONG); }
    private interface IoctlPointer { Downcall CALL = Downcall.variadic(LIBC, "ioctl", 2, INT, INT, LONG, POINTER); }
    private interface Mmap { Downcall CALL = Downcall.of(LIBC, "mmap", LONG, LONG, LONG, INT, INT, INT, LONG); }
    private interface Munmap { Downcall CALL = Downcall.of(LIBC, "munmap", INT, LONG, LONG); }
    private interface Mprotect { Downcall CALL = Downcall.of(LIBC, "mprotect", INT, LONG, LONG, INT); }
    private interface Madvise { Downcall CALL = Downcall.of(LIBC, "madvise", INT, LONG, LONG, INT); }
    private interface Msync { Downcall CALL = Downcall.of(LIBC, "msync", INT, LONG, LONG, INT); }
    private interface Mincore { Downcall CALL = Downcall.of(LIBC, "mincore", INT, LONG, LONG, POINTER); }
    private interface Getpagesize { Downcall CALL = Downcall.withoutErrno(LIBC, "getpagesize", INT); }
    private interface Memcmp { Downcall CALL = Downcall.withoutErrno(LIBC, "memcmp", INT, POINTER, POINTER, LONG); }

    private final Constants constants;

    Libc(Constants constants) {
        this.constants = constants;
    }

    @Override
    public final Constants constants() {
        return constants;
    }

    @Override
    public int openat(int directory, String path, int flags, int mode) {
        try (Arena arena = Arena.ofConfined()) {
            MemorySegment errno = errno();
            return result(
                    (int) Openat.CALL.handle().invokeExact(errno, directory, string(arena, path), flags, mode), errno);
        } catch (Throwable thrown) {
            throw unexpected(thrown);
        }
    }

    @Override
    public int close(int descriptor) {
        try {
            MemorySegment errno = errno();
            return result((int) Close.CALL.handle().invokeExact(errno, descriptor), errno);
        } catch (Throwable thrown) {
            throw unexpected(thrown);
        }
    }

    @Override
    public long pread(int descriptor, MemorySegment buffer, long offset) {
        try {
            MemorySegment errno = errno();
            return result((long) Pread.CALL.handle()
                    .invokeExact(errno, descriptor, buffer, buffer.byteSize(), offset), errno);
        } catch (Throwable thrown) {
            throw unexpected(thrown);
        }
    }

    @Override
    public long pwrite(int descriptor, MemorySegment buffer, long offset) {
        try {
            MemorySegment errno = errno();
            return result((long) Pwrite.CALL.handle()
                    .invokeExact(errno, descriptor, buffer, buffer.byteSize(), offset), errno);
        } catch (Throwable thrown) {
            throw unexpected(thrown);
        }
    }

    @Override
    public long lseek(int descriptor, long offset, int whence) {
        try {
            MemorySegment errno = errno();
            return result((long) Lseek.CALL.handle().invokeExact(errno, descriptor, offset, whence), errno);
        } catch (Throwable thrown) {
            throw unexpected(thrown);
        }
    }

    @Override
    public int ftruncate(int descriptor, long length) {
        try {
            MemorySegment errno = errno();
            return result((int) Ftruncate.CALL.handle().invokeExact(errno, descriptor, length), errno);
        } catch (Throwable thrown) {
            throw unexpected(thrown);
        }
    }

    @Override
    public int fsync(int descriptor) {
        try {
            MemorySegment errno = errno();
            return result((int) Fsync.CALL.handle().invokeExact(errno, descriptor), errno);
        } catch (Throwable thrown) {
            throw unexpected(thrown);
        }
    }

    @Override
    public int unlinkat(int directory, String path, int flags) {
        try (Arena arena = Arena.ofConfined()) {
            MemorySegment errno = errno();
            return result(
                    (int) Unlinkat.CALL.handle().invokeExact(errno, directory, string(arena, path), flags), errno);
        } catch (Throwable thrown) {
            throw unexpected(thrown);
        }
    }

    @Override
    public int fchown(int descriptor, int owner, int group) {
        try {
            MemorySegment errno = errno();
            return result((int) Fchown.CALL.handle().invokeExact(errno, descriptor, owner, group), errno);
        } catch (Throwable thrown) {
            throw unexpected(thrown);
        }
    }

    @Override
    public int futimens(int descriptor, MemorySegment times) {
        try {
            MemorySegment errno = errno();
            return result((int) Futimens.CALL.handle().invokeExact(errno, descriptor, times), errno);
        } catch (Throwable thrown) {
            throw unexpected(thrown);
        }
    }

    @Override
    public int flock(int descriptor, int operation) {
        try {
            MemorySegment errno = errno();
            return result((int) Flock.CALL.handle().invokeExact(errno, descriptor, operation), errno);
        } catch (Throwable thrown) {
            throw unexpected(thrown);
        }
    }

    @Override
    public int fcntl(int descriptor, int command, long argument) {
        try {
            MemorySegment errno = errno();
            return result((int) Fcntl.CALL.handle().invokeExact(errno, descriptor, command, argument), errno);
        } catch (Throwable thrown) {
            throw unexpected(thrown);
        }
    }

    @Override
    public int fcntl(int descriptor, int command, MemorySegment argument) {
        try {
            MemorySegment errno = errno();
            return result((int) FcntlPointer.CALL.handle().invokeExact(errno, descriptor, command, argument), errno);
        } catch (Throwable thrown) {
            throw unexpected(thrown);
        }
    }

    @Override
    public int ioctl(int descriptor, long request, long argument) {
        try {
            MemorySegment errno = errno();
            return result((int) Ioctl.CALL.handle().invokeExact(errno, descriptor, request, argument), errno);
        } catch (Throwable thrown) {
            throw unexpected(thrown);
        }
    }

    @Override
    public int ioctl(int descriptor, long request, MemorySegment argument) {
        try {
            MemorySegment errno = errno();
            return result((int) IoctlPointer.CALL.handle().invokeExact(errno, descriptor, request, argument), errno);
        } catch (Throwable thrown) {
            throw unexpected(thrown);
        }
    }

    @Override
    public long mmap(long address, long length, int protection, int flags, int descriptor, long offset) {
        try {
            MemorySegment errno = errno();
            return result((long) Mmap.CALL.handle()
                    .invokeExact(errno, address, length, protection, flags, descriptor, offset), errno);
        } catch (Throwable thrown) {
            throw unexpected(thrown);
        }
    }

    @Override
    public int munmap(long address, long length) {
        try {
            MemorySegment errno = errno();
            return result((int) Munmap.CALL.handle().invokeExact(errno, address, length), errno);
        } catch (Throwable thrown) {
            throw unexpected(thrown);
        }
    }

    @Override
    public int mprotect(long address, long length, int protection) {
        try {
            MemorySegment errno = errno();
            return result((int) Mprotect.CALL.handle().invokeExact(errno, address, length, protection), errno);
        } catch (Throwable thrown) {
            throw unexpected(thrown);
        }
    }

    @Override
    public int madvise(long address, long length, int advice) {
        try {
            MemorySegment errno = errno();
            return result((int) Madvise.CALL.handle().invokeExact(errno, address, length, advice), errno);
        } catch (Throwable thrown) {
            throw unexpected(thrown);
        }
    }

    @Override
    public int msync(long address, long length, int flags) {
        try {
            MemorySegment errno = errno();
            return result((int) Msync.CALL.handle().invokeExact(errno, address, length, flags), errno);
        } catch (Throwable thrown) {
            throw unexpected(thrown);
        }
    }

    @Override
    public int mincore(long address, long length, MemorySegment residency) {
        try {
            MemorySegment errno = errno();
            return result((int) Mincore.CALL.handle().invokeExact(errno, address, length, residency), errno);
        } catch (Throwable thrown) {
            throw unexpected(thrown);
        }
    }

    @Override
    public int getpagesize() {
        try {
            return (int) Getpagesize.CALL.handle().invokeExact();
        } catch (Throwable thrown) {
            throw unexpected(thrown);
        }
    }

    @Override
    public long dlsym(String name) {
        return LIBC.find(name).map(MemorySegment::address).orElse(0L);
    }

    @Override
    public int memcmp(MemorySegment left, MemorySegment right) {
        if (left.byteSize() != right.byteSize()) {
            throw new IllegalArgumentException(
                    "cannot compare " + left.byteSize() + " bytes with " + right.byteSize());
        }
        try {
            return (int) Memcmp.CALL.handle().invokeExact(left, right, left.byteSize());
        } catch (Throwable thrown) {
            throw unexpected(thrown);
        }
    }

    /** Returns the answer of a call that the platform lacks. */
    final int absent() {
        return -Errno.ENOSYS.number(constants);
    }
}
