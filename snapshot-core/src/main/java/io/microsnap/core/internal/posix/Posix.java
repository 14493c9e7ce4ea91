package io.microsnap.core.internal.posix;

import java.lang.foreign.MemorySegment;
import java.util.List;

/**
 * The system calls, under libc's names and with raw results: zero or more on success, {@code -errno} on failure.
 *
 * <p>Nothing here retries or finishes short counts; {@link Descriptor} and the file layer do. All code reaches the
 * operating system through this interface, so that a test can put a failing, counting or recording one in its place.
 * Implementations are safe for use by any number of threads. A buffer must be a native segment; its whole size is the
 * length of the request. Names are UTF-8 and must not contain NUL; a byte that is not UTF-8 is a lone surrogate, U+DC80
 * to U+DCFF, in what {@link #readdir} gives and in what is taken.
 *
 * <p>A call that the platform lacks answers {@link Errno#ENOSYS}.
 */
public interface Posix {
    /** Returns the numbers of the platform this implementation speaks to. */
    Constants constants();

    int getpagesize();

    int openat(int directory, String path, int flags, int mode);

    int close(int descriptor);

    long pread(int descriptor, MemorySegment buffer, long offset);

    long pwrite(int descriptor, MemorySegment buffer, long offset);

    /**
     * Fills the buffers that an array of {@code iovec} names, one after another; {@link IoVectors} lays it out and
     * keeps them alive. {@code preadv} on macOS, which has no flags: any but 0 answers {@link Errno#ENOSYS} there.
     */
    long preadv2(int descriptor, MemorySegment vectors, long offset, int flags);

    /** Writes the buffers that an array of {@code iovec} names, as {@link #preadv2} fills them. */
    long pwritev2(int descriptor, MemorySegment vectors, long offset, int flags);

    long lseek(int descriptor, long offset, int whence);

    int ftruncate(int descriptor, long length);

    /**
     * On macOS punches holes, and with {@code FALLOC_FL_KEEP_SIZE} alone allocates this length after what the file has
     * allocated; the offset is then ignored.
     */
    int fallocate(int descriptor, int mode, long offset, long length);

    int fsync(int descriptor);

    /** On macOS, the same as {@code fsync}: it has no usable {@code fdatasync}. */
    int fdatasync(int descriptor);

    /** Linux: syncs the descriptor's whole filesystem. */
    int syncfs(int descriptor);

    /** Linux: advice only. */
    int posix_fadvise(int descriptor, long offset, long length, int advice);

    /** Linux. Both offsets are explicit; the descriptors' own positions stay untouched. */
    long copy_file_range(int source, long sourceOffset, int destination, long destinationOffset, long length);

    int fstat(int descriptor, Stat result);

    int fstatat(int directory, String path, Stat result, int flags);

    int fstatfs(int descriptor, FileSystemStat result);

    /** Adds the names in an open directory to the list, without {@code .} and {@code ..}, in no order. */
    int readdir(int directory, List<String> names);

    int mkdirat(int directory, String path, int mode);

    int unlinkat(int directory, String path, int flags);

    /** {@code renameat2} on Linux, {@code renameatx_np} on macOS. */
    int renameat2(int oldDirectory, String oldPath, int newDirectory, String newPath, int flags);

    int fchmod(int descriptor, int mode);

    int fchown(int descriptor, int owner, int group);

    /** Two {@code timespec}s: accessed, modified. */
    int futimens(int descriptor, MemorySegment times);

    int flock(int descriptor, int operation);

    int fcntl(int descriptor, int command, long argument);

    int fcntl(int descriptor, int command, MemorySegment argument);

    int ioctl(int descriptor, long request, long argument);

    int ioctl(int descriptor, long request, MemorySegment argument);

    /** macOS: makes a new file that shares the source's blocks. */
    int fclonefileat(int source, int directory, String destination, int flags);

    long flistxattr(int descriptor, MemorySegment names);

    long fgetxattr(int descriptor, String name, MemorySegment value);

    int fsetxattr(int descriptor, String name, MemorySegment value);

    /** Linux. */
    int memfd_create(String name, int flags);

    /** Returns the address of the mapping. */
    long mmap(long address, long length, int protection, int flags, int descriptor, long offset);

    int munmap(long address, long length);

    int mprotect(long address, long length, int protection);

    int madvise(long address, long length, int advice);

    /** Fails with {@link Errno#ENOMEM} where a part of the range is not mapped. */
    int msync(long address, long length, int flags);

    /** One byte a page, of which the lowest bit says whether it is in memory. */
    int mincore(long address, long length, MemorySegment residency);

    /** Linux. */
    int userfaultfd(int flags);

    /** Linux. */
    int pidfd_open(int process, int flags);

    /** Linux: a duplicate of another process's descriptor, close-on-exec; needs the right to trace that process. */
    int pidfd_getfd(int pidfd, int descriptor, int flags);

    /** Linux. */
    int gettid();

    /** Linux. */
    int tgkill(int process, int thread, int signal);

    /** Linux: the type may carry {@code SOCK_CLOEXEC} and {@code SOCK_NONBLOCK}. */
    int socket(int family, int type, int protocol);

    /** Linux: the address is a {@code sockaddr}, as long as the segment. */
    int connect(int socket, MemorySegment address);

    /** Linux: fills the value, which must be as long as the option's. */
    int getsockopt(int socket, int level, int option, MemorySegment value);

    /** Linux. {@link SignalAction} lays out both structs; either may be {@link MemorySegment#NULL}. */
    int sigaction(int signal, MemorySegment action, MemorySegment previous);

    /** Returns the address of a function of libc, to pass to the kernel; zero if there is none of that name. */
    long dlsym(String name);

    /**
     * libc's function, not a system call: below, at or above zero. Kills the process if the memory is truncated
     * meanwhile.
     */
    int memcmp(MemorySegment left, MemorySegment right);

    /**
     * Returns the operating system this process runs on; an {@link UnsupportedOperationException} where it is not
     * known.
     */
    static Posix host() {
        return HostPosix.get();
    }
}
