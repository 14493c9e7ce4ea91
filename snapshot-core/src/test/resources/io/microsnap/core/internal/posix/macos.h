/*
 * What macOS on AArch64 gives the names that are used here: from its documented interface, in our own words. Structs
 * are declared with the types they have there, so that a compiler for that platform lays them out.
 */
#define O_RDONLY 0x0000
#define O_WRONLY 0x0001
#define O_RDWR 0x0002
#define O_NONBLOCK 0x0004
#define O_NOFOLLOW 0x0100
#define O_CREAT 0x0200
#define O_TRUNC 0x0400
#define O_EXCL 0x0800
#define O_DIRECTORY 0x00100000
#define O_CLOEXEC 0x01000000
#define AT_FDCWD (-2)
#define AT_SYMLINK_NOFOLLOW 0x0020
#define AT_REMOVEDIR 0x0080
#define SEEK_HOLE 3
#define SEEK_DATA 4
#define LOCK_SH 1
#define LOCK_EX 2
#define LOCK_NB 4
#define RENAME_SWAP 0x2
#define RENAME_EXCL 0x4
#define PROT_NONE 0
#define PROT_READ 1
#define PROT_WRITE 2
#define PROT_EXEC 4
#define MAP_SHARED 0x0001
#define MAP_PRIVATE 0x0002
#define MAP_FIXED 0x0010
#define MAP_NORESERVE 0x0040
#define MAP_ANONYMOUS 0x1000
#define MADV_NORMAL 0
#define MADV_RANDOM 1
#define MADV_SEQUENTIAL 2
#define MADV_WILLNEED 3
#define MADV_DONTNEED 4
#define MS_ASYNC 0x0001
#define F_GETFD 1
#define F_PEOFPOSMODE 3
#define F_ALLOCATEALL 0x00000004
#define F_PREALLOCATE 42
#define F_NOCACHE 48
#define F_FULLFSYNC 51
#define F_DUPFD_CLOEXEC 67
#define F_BARRIERFSYNC 85
#define F_PUNCHHOLE 99
#define CLONE_NOFOLLOW 0x0001
#define CLONE_NOOWNERCOPY 0x0002

#define EPERM 1
#define ENOENT 2
#define ESRCH 3
#define EINTR 4
#define EIO 5
#define ENXIO 6
#define E2BIG 7
#define EBADF 9
#define ENOMEM 12
#define EACCES 13
#define EFAULT 14
#define EBUSY 16
#define EEXIST 17
#define EXDEV 18
#define ENODEV 19
#define ENOTDIR 20
#define EISDIR 21
#define EINVAL 22
#define ENFILE 23
#define EMFILE 24
#define ENOTTY 25
#define ETXTBSY 26
#define EFBIG 27
#define ENOSPC 28
#define ESPIPE 29
#define EROFS 30
#define EMLINK 31
#define EPIPE 32
#define ERANGE 34
#define EAGAIN 35
#define ENOTSUP 45
#define ECONNREFUSED 61
#define ELOOP 62
#define ENAMETOOLONG 63
#define ENOTEMPTY 66
#define EDQUOT 69
#define ESTALE 70
#define ENOSYS 78
#define EOVERFLOW 84
#define ECANCELED 89
#define ENODATA 96
#define EOPNOTSUPP 102

struct macos_timespec {
    long tv_sec;
    long tv_nsec;
};

struct macos_stat {
    int st_dev;
    unsigned short st_mode;
    unsigned short st_nlink;
    unsigned long long st_ino;
    unsigned int st_uid;
    unsigned int st_gid;
    int st_rdev;
    struct macos_timespec st_atimespec;
    struct macos_timespec st_mtimespec;
    struct macos_timespec st_ctimespec;
    struct macos_timespec st_birthtimespec;
    long long st_size;
    long long st_blocks;
    int st_blksize;
    unsigned int st_flags;
    unsigned int st_gen;
    int st_lspare;
    long long st_qspare[2];
};

struct macos_statfs {
    unsigned int f_bsize;
    int f_iosize;
    unsigned long long f_blocks;
    unsigned long long f_bfree;
    unsigned long long f_bavail;
    unsigned long long f_files;
    unsigned long long f_ffree;
    int f_fsid[2];
    unsigned int f_owner;
    unsigned int f_type;
    unsigned int f_flags;
    unsigned int f_fssubtype;
    char f_fstypename[16];
    char f_mntonname[1024];
    char f_mntfromname[1024];
    unsigned int f_flags_ext;
    unsigned int f_reserved[7];
};

struct macos_dirent {
    unsigned long long d_ino;
    unsigned long long d_seekoff;
    unsigned short d_reclen;
    unsigned short d_namlen;
    unsigned char d_type;
    char d_name[1024];
};

struct macos_fpunchhole {
    unsigned int fp_flags;
    unsigned int reserved;
    long long fp_offset;
    long long fp_length;
};

struct macos_fstore {
    unsigned int fst_flags;
    int fst_posmode;
    long long fst_offset;
    long long fst_length;
    long long fst_bytesalloc;
};

/* Reads from the driver: the direction, the size of what is read, a letter and a number. */
#define MACOS_IOR(letter, number, type) (0x40000000UL | ((sizeof(type) & 0x1fff) << 16) | ((letter) << 8) | (number))
#define DKIOCGETBLOCKSIZE MACOS_IOR('d', 24, unsigned int)
#define DKIOCGETBLOCKCOUNT MACOS_IOR('d', 25, unsigned long long)

#define MICROSNAP_FSTORE_BYTES sizeof(struct macos_fstore)
#define MICROSNAP_FST_FLAGS offsetof(struct macos_fstore, fst_flags)
#define MICROSNAP_FST_POSMODE offsetof(struct macos_fstore, fst_posmode)
#define MICROSNAP_FST_OFFSET offsetof(struct macos_fstore, fst_offset)
#define MICROSNAP_FST_LENGTH offsetof(struct macos_fstore, fst_length)
#define MICROSNAP_FST_BYTESALLOC offsetof(struct macos_fstore, fst_bytesalloc)
#define MICROSNAP_STAT_BYTES sizeof(struct macos_stat)
#define MICROSNAP_ST_DEV offsetof(struct macos_stat, st_dev)
#define MICROSNAP_ST_MODE offsetof(struct macos_stat, st_mode)
#define MICROSNAP_ST_NLINK offsetof(struct macos_stat, st_nlink)
#define MICROSNAP_ST_INO offsetof(struct macos_stat, st_ino)
#define MICROSNAP_ST_UID offsetof(struct macos_stat, st_uid)
#define MICROSNAP_ST_GID offsetof(struct macos_stat, st_gid)
#define MICROSNAP_ST_ATIMESPEC offsetof(struct macos_stat, st_atimespec)
#define MICROSNAP_ST_MTIMESPEC offsetof(struct macos_stat, st_mtimespec)
#define MICROSNAP_ST_CTIMESPEC offsetof(struct macos_stat, st_ctimespec)
#define MICROSNAP_TV_NSEC offsetof(struct macos_timespec, tv_nsec)
#define MICROSNAP_ST_SIZE offsetof(struct macos_stat, st_size)
#define MICROSNAP_ST_BLOCKS offsetof(struct macos_stat, st_blocks)
#define MICROSNAP_ST_BLKSIZE offsetof(struct macos_stat, st_blksize)
#define MICROSNAP_STATFS_BYTES sizeof(struct macos_statfs)
#define MICROSNAP_F_BSIZE offsetof(struct macos_statfs, f_bsize)
#define MICROSNAP_F_BLOCKS offsetof(struct macos_statfs, f_blocks)
#define MICROSNAP_F_BFREE offsetof(struct macos_statfs, f_bfree)
#define MICROSNAP_F_BAVAIL offsetof(struct macos_statfs, f_bavail)
#define MICROSNAP_F_TYPE offsetof(struct macos_statfs, f_type)
#define MICROSNAP_DIRENT_BYTES sizeof(struct macos_dirent)
#define MICROSNAP_D_NAMLEN offsetof(struct macos_dirent, d_namlen)
#define MICROSNAP_D_NAME offsetof(struct macos_dirent, d_name)
#define MICROSNAP_FPUNCHHOLE_BYTES sizeof(struct macos_fpunchhole)
#define MICROSNAP_FP_FLAGS offsetof(struct macos_fpunchhole, fp_flags)
#define MICROSNAP_FP_OFFSET offsetof(struct macos_fpunchhole, fp_offset)
#define MICROSNAP_FP_LENGTH offsetof(struct macos_fpunchhole, fp_length)
