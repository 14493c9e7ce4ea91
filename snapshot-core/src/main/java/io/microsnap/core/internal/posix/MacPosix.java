package io.microsnap.core.internal.posix;

import static io.microsnap.core.internal.posix.Downcall.INT;
import static io.microsnap.core.internal.posix.Downcall.LONG;
import static io.microsnap.core.internal.posix.Downcall.POINTER;
import static io.microsnap.core.internal.posix.Downcall.UNSIGNED_SHORT;
import static io.microsnap.core.internal.posix.Downcall.unexpected;
import static io.microsnap.core.internal.posix.NativeText.string;
import static io.microsnap.core.internal.posix.ThreadMemory.errno;
import static io.microsnap.core.internal.posix.ThreadMemory.result;
import static io.microsnap.core.internal.posix.ThreadMemory.scratch;

import java.lang.foreign.Arena;
import java.lang.foreign.MemorySegment;
import java.lang.foreign.SymbolLookup;
import java.lang.foreign.ValueLayout;
import java.util.List;

/**
 * macOS's libSystem on AArch64, called directly. Other calls are shared with Linux in {@link Libc}. Where the two
 * systems differ, Linux's name stands for macOS's call: {@code renameatx_np}, {@code fcntl} to punch.
 */
final class MacPosix extends Libc {
    /** The kernel refuses longer transfers outright, so longer requests are cut to this and become short transfers. */
    private static final long LONGEST_TRANSFER = 1 << 30;

    private final Functions functions;

    /**
     * Uses this C library. The functions whose form differs from Linux come from it, so that tests can put a stand-in
     * library in its place.
     */
    MacPosix(SymbolLookup library) {
        super(Constants.MACOS_AARCH64);
        functions = new Functions(library);
    }

    /** The functions that only macOS needs. {@code mode_t} has 16 bits. */
    record Functions(Downcall fstat, Downcall fstatat, Downcall fstatfs, Downcall fdopendir, Downcall readdir,
            Downcall closedir, Downcall mkdirat, Downcall fchmod, Downcall renameatx, Downcall fclonefileat,
            Downcall flistxattr, Downcall fgetxattr, Downcall fsetxattr, Downcall preadv, Downcall pwritev) {
        Functions(SymbolLookup library) {
            this(Downcall.of(library, "fstat", INT, INT, POINTER),
                    Downcall.of(library, "fstatat", INT, INT, POINTER, POINTER, INT),
                    Downcall.of(library, "fstatfs", INT, INT, POINTER),
                    Downcall.of(library, "fdopendir", LONG, INT),
                    Downcall.withoutErrno(library, "readdir_r", INT, LONG, POINTER, POINTER),
                    Downcall.of(library, "closedir", INT, LONG),
                    Downcall.of(library, "mkdirat", INT, INT, POINTER, UNSIGNED_SHORT),
                    Downcall.of(library, "fchmod", INT, INT, UNSIGNED_SHORT),
                    Downcall.of(library, "renameatx_np", INT, INT, POINTER, INT, POINTER, INT),
                    Downcall.of(library, "fclonefileat", INT, INT, INT, POINTER, INT),
                    Downcall.of(library, "flistxattr", LONG, INT, POINTER, LONG, INT),
                    Downcall.of(library, "fgetxattr", LONG, INT, POINTER, POINTER, LONG, INT, INT),
                    Downcall.of(library, "fsetxattr", INT, INT, POINTER, POINTER, LONG, INT, INT),
                    Downcall.of(library, "preadv", LONG, INT, POINTER, INT, LONG),
                    Downcall.of(library, "pwritev", LONG, INT, POINTER, INT, LONG));
        }
    }

    @Override
    public long pread(int descriptor, MemorySegment buffer, long offset) {
        return super.pread(descriptor, transferable(buffer), offset);
    }

    @Override
    public long pwrite(int descriptor, MemorySegment buffer, long offset) {
        return super.pwrite(descriptor, transferable(buffer), offset);
    }

    private static MemorySegment transferable(MemorySegment buffer) {
        return buffer.byteSize() <= LONGEST_TRANSFER ? buffer : buffer.asSlice(0, LONGEST_TRANSFER);
    }

    @Override
    public long preadv2(int descriptor, MemorySegment vectors, long offset, int flags) {
        if (flags != 0) {
            return absent();
        }
        try {
            MemorySegment errno = errno();
            return result((long) functions.preadv.handle().invokeExact(
                    errno, descriptor, vectors, IoVectors.count(vectors), offset), errno);
        } catch (Throwable thrown) {
            throw unexpected(thrown);
        }
    }

    @Override
    public long pwritev2(int descriptor, MemorySegment vectors, long offset, int flags) {
        if (flags != 0) {
            return absent();
        }
        try {
            MemorySegment errno = errno();
            return result((long) functions.pwritev.handle().invokeExact(
                    errno, descriptor, vectors, IoVectors.count(vectors), offset), errno);
        } catch (Throwable thrown) {
            throw unexpected(thrown);
        }
    }

    @Override
    public int fallocate(int descriptor, int mode, long offset, long length) {
        if (mode == constants().FALLOC_FL_KEEP_SIZE) {
            MemorySegment store = scratch();
            MacStructs.preallocate(store, constants(), length);
            return fcntl(descriptor, constants().F_PREALLOCATE, store);
        }
        if (mode != (constants().FALLOC_FL_PUNCH_HOLE | constants().FALLOC_FL_KEEP_SIZE)) {
            return absent();
        }
        MemorySegment hole = scratch();
        MacStructs.punchHole(hole, offset, length);
        return fcntl(descriptor, constants().F_PUNCHHOLE, hole);
    }

    @Override
    public int fdatasync(int descriptor) {
        return fsync(descriptor);
    }

    @Override
    public int syncfs(int descriptor) {
        return absent();
    }

    @Override
    public int posix_fadvise(int descriptor, long offset, long length, int advice) {
        return absent();
    }

    @Override
    public long copy_file_range(int source, long sourceOffset, int destination, long destinationOffset, long length) {
        return absent();
    }

    @Override
    public int fstat(int descriptor, Stat result) {
        try {
            MemorySegment buffer = scratch();
            MemorySegment errno = errno();
            int answer = result((int) functions.fstat.handle().invokeExact(errno, descriptor, buffer), errno);
            if (answer == 0) {
                MacStructs.readStat(buffer, result);
            }
            return answer;
        } catch (Throwable thrown) {
            throw unexpected(thrown);
        }
    }

    @Override
    public int fstatat(int directory, String path, Stat result, int flags) {
        try (Arena arena = Arena.ofConfined()) {
            MemorySegment buffer = scratch();
            MemorySegment errno = errno();
            int answer = result((int) functions.fstatat.handle()
                    .invokeExact(errno, directory, string(arena, path), buffer, flags), errno);
            if (answer == 0) {
                MacStructs.readStat(buffer, result);
            }
            return answer;
        } catch (Throwable thrown) {
            throw unexpected(thrown);
        }
    }

    @Override
    public int fstatfs(int descriptor, FileSystemStat result) {
        try (Arena arena = Arena.ofConfined()) {
            MemorySegment buffer = arena.allocate(MacStructs.STATFS_BYTES, Long.BYTES);
            MemorySegment errno = errno();
            int answer = result((int) functions.fstatfs.handle().invokeExact(errno, descriptor, buffer), errno);
            if (answer == 0) {
                MacStructs.readStatFs(buffer, result);
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
        try {
            MemorySegment errno = errno();
            long stream = (long) functions.fdopendir.handle().invokeExact(errno, own);
            if (stream == 0) {
                int failure = result(-1, errno);
                close(own);
                return failure;
            }
            try {
                return readEntries(stream, names);
            } finally {
                int closed = (int) functions.closedir.handle().invokeExact(errno, stream);
                assert closed <= 0;
            }
        } catch (Throwable thrown) {
            throw unexpected(thrown);
        }
    }

    private int readEntries(long stream, List<String> names) throws Throwable {
        try (Arena arena = Arena.ofConfined()) {
            MemorySegment entry = arena.allocate(MacStructs.DIRENT_BYTES, Long.BYTES);
            MemorySegment next = arena.allocate(ValueLayout.ADDRESS);
            while (true) {
                // Unlike readdir, readdir_r distinguishes the end from a failure without errno.
                int failure = (int) functions.readdir.handle().invokeExact(stream, entry, next);
                if (failure != 0) {
                    return -failure;
                }
                if (next.get(ValueLayout.ADDRESS, 0).address() == 0) {
                    return 0;
                }
                DirectoryEntries.add(MacStructs.entryName(entry), names);
            }
        }
    }

    @Override
    public int mkdirat(int directory, String path, int mode) {
        try (Arena arena = Arena.ofConfined()) {
            MemorySegment errno = errno();
            return result((int) functions.mkdirat.handle()
                    .invokeExact(errno, directory, string(arena, path), (char) mode), errno);
        } catch (Throwable thrown) {
            throw unexpected(thrown);
        }
    }

    @Override
    public int fchmod(int descriptor, int mode) {
        try {
            MemorySegment errno = errno();
            return result((int) functions.fchmod.handle().invokeExact(errno, descriptor, (char) mode), errno);
        } catch (Throwable thrown) {
            throw unexpected(thrown);
        }
    }

    @Override
    public int renameat2(int oldDirectory, String oldPath, int newDirectory, String newPath, int flags) {
        try (Arena arena = Arena.ofConfined()) {
            MemorySegment errno = errno();
            return result((int) functions.renameatx.handle().invokeExact(errno, oldDirectory, string(arena, oldPath),
                    newDirectory, string(arena, newPath), flags), errno);
        } catch (Throwable thrown) {
            throw unexpected(thrown);
        }
    }

    @Override
    public int fclonefileat(int source, int directory, String destination, int flags) {
        try (Arena arena = Arena.ofConfined()) {
            MemorySegment errno = errno();
            return result((int) functions.fclonefileat.handle()
                    .invokeExact(errno, source, directory, string(arena, destination), flags), errno);
        } catch (Throwable thrown) {
            throw unexpected(thrown);
        }
    }

    @Override
    public long flistxattr(int descriptor, MemorySegment names) {
        try {
            MemorySegment errno = errno();
            return result((long) functions.flistxattr.handle()
                    .invokeExact(errno, descriptor, names, names.byteSize(), 0), errno);
        } catch (Throwable thrown) {
            throw unexpected(thrown);
        }
    }

    @Override
    public long fgetxattr(int descriptor, String name, MemorySegment value) {
        try (Arena arena = Arena.ofConfined()) {
            MemorySegment errno = errno();
            return result((long) functions.fgetxattr.handle()
                    .invokeExact(errno, descriptor, string(arena, name), value, value.byteSize(), 0, 0), errno);
        } catch (Throwable thrown) {
            throw unexpected(thrown);
        }
    }

    @Override
    public int fsetxattr(int descriptor, String name, MemorySegment value) {
        try (Arena arena = Arena.ofConfined()) {
            MemorySegment errno = errno();
            return result((int) functions.fsetxattr.handle()
                    .invokeExact(errno, descriptor, string(arena, name), value, value.byteSize(), 0, 0), errno);
        } catch (Throwable thrown) {
            throw unexpected(thrown);
        }
    }

    @Override
    public int memfd_create(String name, int flags) {
        return absent();
    }

    @Override
    public int userfaultfd(int flags) {
        return absent();
    }

    @Override
    public int pidfd_open(int process, int flags) {
        return absent();
    }

    @Override
    public int pidfd_getfd(int pidfd, int descriptor, int flags) {
        return absent();
    }

    @Override
    public int gettid() {
        return absent();
    }

    @Override
    public int tgkill(int process, int thread, int signal) {
        return absent();
    }

    @Override
    public int sigaction(int signal, MemorySegment action, MemorySegment previous) {
        return absent();
    }

    @Override
    public int socket(int family, int type, int protocol) {
        return absent();
    }

    @Override
    public int connect(int socket, MemorySegment address) {
        return absent();
    }

    @Override
    public int getsockopt(int socket, int level, int option, MemorySegment value) {
        return absent();
    }
}
