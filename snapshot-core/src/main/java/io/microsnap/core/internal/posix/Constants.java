package io.microsnap.core.internal.posix;

/**
 * The numbers behind libc's names, for each platform side by side. A constant that a platform does not have is zero
 * there; the call that would take it answers {@link Errno#ENOSYS}.
 */
public final class Constants {
    /** Linux on x86-64. */
    public static final Constants LINUX_X86_64 = new Constants(0);
    /** Linux on AArch64. */
    public static final Constants LINUX_AARCH64 = new Constants(1);
    /** macOS on AArch64. */
    public static final Constants MACOS_AARCH64 = new Constants(2);

    public final int O_RDONLY;
    public final int O_WRONLY;
    public final int O_RDWR;
    public final int O_CREAT;
    public final int O_EXCL;
    public final int O_TRUNC;
    public final int O_CLOEXEC;
    public final int O_NOFOLLOW;
    public final int O_DIRECTORY;
    public final int O_NONBLOCK;
    public final int O_TMPFILE;
    public final int O_DIRECT;
    public final int RWF_DONTCACHE;
    public final int AT_FDCWD;
    public final int AT_SYMLINK_NOFOLLOW;
    public final int AT_REMOVEDIR;
    public final int SEEK_DATA;
    public final int SEEK_HOLE;
    public final int LOCK_SH;
    public final int LOCK_EX;
    public final int LOCK_NB;
    public final int RENAME_NOREPLACE;
    public final int RENAME_EXCHANGE;
    public final int FALLOC_FL_KEEP_SIZE;
    public final int FALLOC_FL_PUNCH_HOLE;
    public final int FALLOC_FL_ZERO_RANGE;
    public final int PROT_NONE;
    public final int PROT_READ;
    public final int PROT_WRITE;
    public final int PROT_EXEC;
    public final int MAP_SHARED;
    public final int MAP_PRIVATE;
    public final int MAP_FIXED;
    public final int MAP_ANONYMOUS;
    public final int MAP_NORESERVE;
    public final int MAP_HUGETLB;
    public final int MADV_NORMAL;
    public final int MADV_RANDOM;
    public final int MADV_SEQUENTIAL;
    public final int MADV_WILLNEED;
    public final int MADV_DONTNEED;
    public final int MADV_REMOVE;
    public final int MADV_DONTFORK;
    public final int MADV_HUGEPAGE;
    public final int MADV_NOHUGEPAGE;
    public final int MADV_DONTDUMP;
    public final int MADV_POPULATE_READ;
    public final int MADV_POPULATE_WRITE;
    public final int MS_ASYNC;
    public final int MFD_CLOEXEC;
    public final int MFD_ALLOW_SEALING;
    public final int MFD_HUGETLB;
    public final int MFD_NOEXEC_SEAL;
    public final int POSIX_FADV_WILLNEED;
    public final int POSIX_FADV_DONTNEED;
    public final int F_GETFD;
    public final int F_DUPFD_CLOEXEC;
    public final int F_ADD_SEALS;
    public final int F_GET_SEALS;
    public final int F_SEAL_SHRINK;
    public final int F_SEAL_GROW;
    public final int F_FULLFSYNC;
    public final int F_BARRIERFSYNC;
    public final int F_PUNCHHOLE;
    public final int F_PREALLOCATE;
    public final int F_NOCACHE;
    public final int F_ALLOCATEALL;
    public final int F_PEOFPOSMODE;
    public final int AF_UNIX;
    public final int SOCK_STREAM;
    public final int SOCK_CLOEXEC;
    public final int SOCK_NONBLOCK;
    public final int SOL_SOCKET;
    public final int SO_PEERCRED;
    public final int CLONE_NOFOLLOW;
    public final int CLONE_NOOWNERCOPY;
    public final long FICLONE;
    public final long FICLONERANGE;
    public final long FIDEDUPERANGE;
    public final long FS_IOC_FIEMAP;
    public final long FS_IOC_FSGETXATTR;
    public final long FS_IOC_FSSETXATTR;
    public final long BLKSSZGET;
    public final long BLKGETSIZE64;
    public final long BLKDISCARD;
    public final long BLKZEROOUT;
    public final long DKIOCGETBLOCKSIZE;
    public final long DKIOCGETBLOCKCOUNT;

    private final OperatingSystem operatingSystem;
    private final int column;

    private Constants(int column) {
        this.column = column;
        operatingSystem = column == 2 ? OperatingSystem.MACOS : OperatingSystem.LINUX;
        //                            Linux x86-64  Linux AArch64  macOS AArch64
        O_RDONLY = pick(0, 0, 0);
        O_WRONLY = pick(1, 1, 1);
        O_RDWR = pick(2, 2, 2);
        O_CREAT = pick(0x40, 0x40, 0x200);
        O_EXCL = pick(0x80, 0x80, 0x800);
        O_TRUNC = pick(0x200, 0x200, 0x400);
        O_CLOEXEC = pick(0x80000, 0x80000, 0x1000000);
        O_NOFOLLOW = pick(0x20000, 0x8000, 0x100);
        O_DIRECTORY = pick(0x10000, 0x4000, 0x100000);
        O_NONBLOCK = pick(0x800, 0x800, 0x4);
        O_TMPFILE = pick(0x410000, 0x404000, 0);
        O_DIRECT = pick(0x4000, 0x10000, 0);
        RWF_DONTCACHE = pick(0x80, 0x80, 0);
        AT_FDCWD = pick(-100, -100, -2);
        AT_SYMLINK_NOFOLLOW = pick(0x100, 0x100, 0x20);
        AT_REMOVEDIR = pick(0x200, 0x200, 0x80);
        SEEK_DATA = pick(3, 3, 4);
        SEEK_HOLE = pick(4, 4, 3);
        LOCK_SH = pick(1, 1, 1);
        LOCK_EX = pick(2, 2, 2);
        LOCK_NB = pick(4, 4, 4);
        RENAME_NOREPLACE = pick(1, 1, 4);
        RENAME_EXCHANGE = pick(2, 2, 2);
        // macOS has no fallocate: there these are our own, and fcntl is called.
        FALLOC_FL_KEEP_SIZE = pick(1, 1, 1);
        FALLOC_FL_PUNCH_HOLE = pick(2, 2, 2);
        FALLOC_FL_ZERO_RANGE = pick(0x10, 0x10, 0);
        PROT_NONE = pick(0, 0, 0);
        PROT_READ = pick(1, 1, 1);
        PROT_WRITE = pick(2, 2, 2);
        PROT_EXEC = pick(4, 4, 4);
        MAP_SHARED = pick(1, 1, 1);
        MAP_PRIVATE = pick(2, 2, 2);
        MAP_FIXED = pick(0x10, 0x10, 0x10);
        MAP_ANONYMOUS = pick(0x20, 0x20, 0x1000);
        MAP_NORESERVE = pick(0x4000, 0x4000, 0x40);
        MAP_HUGETLB = pick(0x40000, 0x40000, 0);
        MADV_NORMAL = pick(0, 0, 0);
        MADV_RANDOM = pick(1, 1, 1);
        MADV_SEQUENTIAL = pick(2, 2, 2);
        MADV_WILLNEED = pick(3, 3, 3);
        MADV_DONTNEED = pick(4, 4, 4);
        MADV_REMOVE = pick(9, 9, 0);
        MADV_DONTFORK = pick(10, 10, 0);
        MADV_HUGEPAGE = pick(14, 14, 0);
        MADV_NOHUGEPAGE = pick(15, 15, 0);
        MADV_DONTDUMP = pick(16, 16, 0);
        MADV_POPULATE_READ = pick(22, 22, 0);
        MADV_POPULATE_WRITE = pick(23, 23, 0);
        MS_ASYNC = pick(1, 1, 1);
        MFD_CLOEXEC = pick(1, 1, 0);
        MFD_ALLOW_SEALING = pick(2, 2, 0);
        MFD_HUGETLB = pick(4, 4, 0);
        MFD_NOEXEC_SEAL = pick(8, 8, 0);
        POSIX_FADV_WILLNEED = pick(3, 3, 0);
        POSIX_FADV_DONTNEED = pick(4, 4, 0);
        F_GETFD = pick(1, 1, 1);
        F_DUPFD_CLOEXEC = pick(1030, 1030, 67);
        F_ADD_SEALS = pick(1033, 1033, 0);
        F_GET_SEALS = pick(1034, 1034, 0);
        F_SEAL_SHRINK = pick(2, 2, 0);
        F_SEAL_GROW = pick(4, 4, 0);
        F_FULLFSYNC = pick(0, 0, 51);
        F_BARRIERFSYNC = pick(0, 0, 85);
        F_PUNCHHOLE = pick(0, 0, 99);
        F_PREALLOCATE = pick(0, 0, 42);
        F_NOCACHE = pick(0, 0, 48);
        F_ALLOCATEALL = pick(0, 0, 4);
        F_PEOFPOSMODE = pick(0, 0, 3);
        AF_UNIX = pick(1, 1, 0);
        SOCK_STREAM = pick(1, 1, 0);
        SOCK_CLOEXEC = pick(0x80000, 0x80000, 0);
        SOCK_NONBLOCK = pick(0x800, 0x800, 0);
        SOL_SOCKET = pick(1, 1, 0);
        SO_PEERCRED = pick(17, 17, 0);
        CLONE_NOFOLLOW = pick(0, 0, 1);
        CLONE_NOOWNERCOPY = pick(0, 0, 2);
        FICLONE = pick(0x40049409, 0x40049409, 0);
        FICLONERANGE = pick(0x4020940D, 0x4020940D, 0);
        FIDEDUPERANGE = Integer.toUnsignedLong(pick(0xC0189436, 0xC0189436, 0));
        FS_IOC_FIEMAP = Integer.toUnsignedLong(pick(0xC020660B, 0xC020660B, 0));
        FS_IOC_FSGETXATTR = Integer.toUnsignedLong(pick(0x801C581F, 0x801C581F, 0));
        FS_IOC_FSSETXATTR = pick(0x401C5820, 0x401C5820, 0);
        BLKSSZGET = pick(0x1268, 0x1268, 0);
        BLKGETSIZE64 = Integer.toUnsignedLong(pick(0x80081272, 0x80081272, 0));
        BLKDISCARD = pick(0x1277, 0x1277, 0);
        BLKZEROOUT = pick(0x127F, 0x127F, 0);
        DKIOCGETBLOCKSIZE = pick(0, 0, 0x40046418);
        DKIOCGETBLOCKCOUNT = pick(0, 0, 0x40086419);
    }

    /** Returns the operating system these numbers belong to. */
    public OperatingSystem operatingSystem() {
        return operatingSystem;
    }

    /** Returns the error behind a raw result: the name for {@code -result}. */
    public Errno errno(long result) {
        return Errno.of((int) -result, operatingSystem);
    }

    /** Returns whether a raw result is this failure. */
    public boolean failedWith(long result, Errno errno) {
        return result < 0 && -result == errno.number(this);
    }

    private int pick(int linuxX86, int linuxArm, int macos) {
        return switch (column) {
            case 0 -> linuxX86;
            case 1 -> linuxArm;
            default -> macos;
        };
    }
}
