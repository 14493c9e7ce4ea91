package io.microsnap.core.internal.posix;

import java.lang.foreign.Arena;
import java.lang.foreign.MemorySegment;
import java.lang.foreign.ValueLayout;

/**
 * The requests to a {@code userfaultfd} that write protection needs, with raw results: zero or {@code -errno}. They
 * affect the process that made the descriptor, whichever process uses it.
 */
public final class UserFaultFd {
    /** Serves only faults of user mode: an unprivileged process may have this. */
    public static final int UFFD_USER_MODE_ONLY = 1;
    public static final long UFFD_FEATURE_PAGEFAULT_FLAG_WP = 1;
    public static final long UFFD_FEATURE_WP_HUGETLBFS_SHMEM = 1 << 12;
    /** Pages that were never touched can be protected, too. */
    public static final long UFFD_FEATURE_WP_UNPOPULATED = 1 << 13;
    /**
     * Linux 6.7 and later: the kernel itself removes the protection at the first write, and no thread waits for a
     * handler.
     */
    public static final long UFFD_FEATURE_WP_ASYNC = 1 << 15;

    // _IOWR(0xAA, 0x3F, struct uffdio_api)
    private static final long UFFDIO_API = 0xC018AA3FL;
    private static final long API_BYTES = 24;
    private static final long API_VERSION = 0xAA;
    private static final long API_FEATURES = 8;
    // _IOWR(0xAA, 0, struct uffdio_register)
    private static final long UFFDIO_REGISTER = 0xC020AA00L;
    private static final long REGISTER_BYTES = 32;
    private static final long MODE_WRITE_PROTECT = 1 << 1;
    // _IOR(0xAA, 1, struct uffdio_range)
    private static final long UFFDIO_UNREGISTER = 0x8010AA01L;
    private static final long RANGE_BYTES = 16;
    // _IOWR(0xAA, 6, struct uffdio_writeprotect)
    private static final long UFFDIO_WRITEPROTECT = 0xC018AA06L;
    private static final long PROTECT_BYTES = 24;
    private static final long PROTECT = 1;

    private static final long START = 0;
    private static final long LENGTH = 8;
    private static final long MODE = 16;

    private UserFaultFd() {
    }

    /** Negotiates features, once for a descriptor, before anything else. */
    public static int api(Posix posix, int userfaultfd, long features) {
        try (Arena arena = Arena.ofConfined()) {
            MemorySegment api = arena.allocate(API_BYTES, Long.BYTES);
            api.set(ValueLayout.JAVA_LONG, 0, API_VERSION);
            api.set(ValueLayout.JAVA_LONG, API_FEATURES, features);
            return posix.ioctl(userfaultfd, UFFDIO_API, api);
        }
    }

    /** Registers a range for write protection. Registering it again changes nothing. */
    public static int register(Posix posix, int userfaultfd, long address, long lengthBytes) {
        return request(posix, userfaultfd, UFFDIO_REGISTER, REGISTER_BYTES, address, lengthBytes, MODE_WRITE_PROTECT);
    }

    /** Takes a range out, with all protection on it. */
    public static int unregister(Posix posix, int userfaultfd, long address, long lengthBytes) {
        return request(posix, userfaultfd, UFFDIO_UNREGISTER, RANGE_BYTES, address, lengthBytes, 0);
    }

    /** Protects every page of a registered range, populated or not. */
    public static int writeProtect(Posix posix, int userfaultfd, long address, long lengthBytes) {
        return request(posix, userfaultfd, UFFDIO_WRITEPROTECT, PROTECT_BYTES, address, lengthBytes, PROTECT);
    }

    private static int request(Posix posix, int userfaultfd, long request, long bytes, long address, long lengthBytes,
            long mode) {
        try (Arena arena = Arena.ofConfined()) {
            MemorySegment argument = arena.allocate(bytes, Long.BYTES);
            argument.set(ValueLayout.JAVA_LONG, START, address);
            argument.set(ValueLayout.JAVA_LONG, LENGTH, lengthBytes);
            if (bytes > MODE) {
                argument.set(ValueLayout.JAVA_LONG, MODE, mode);
            }
            return posix.ioctl(userfaultfd, request, argument);
        }
    }
}
