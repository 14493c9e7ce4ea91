/*
 * Stands in, on Linux, for the functions of macOS that have another form there: same names, same arguments, macOS's
 * structs and numbers. Each does the real thing to real files through Linux's system calls. Nothing of glibc that has
 * one of these names may be included.
 */
#include <stddef.h>
#include <stdarg.h>
#include <linux/stat.h>
#include <linux/types.h>
#include <asm/unistd.h>

extern long syscall(long number, ...);
extern void *malloc(size_t size);
extern void free(void *block);
extern void *memset(void *block, int value, size_t size);
extern void *memcpy(void *to, const void *from, size_t size);
extern size_t strlen(const char *text);
extern int *__errno_location(void);

#include "macos.h"

static int done(long result) {
    return result < 0 ? -1 : (int) result;
}

static void translate(const struct statx *from, struct macos_stat *to) {
    memset(to, 0x5a, sizeof *to);
    to->st_dev = (int) ((from->stx_dev_major << 24) | (from->stx_dev_minor & 0xffffff));
    to->st_mode = from->stx_mode;
    to->st_nlink = (unsigned short) from->stx_nlink;
    to->st_ino = from->stx_ino;
    to->st_uid = from->stx_uid;
    to->st_gid = from->stx_gid;
    to->st_atimespec = (struct macos_timespec) {from->stx_atime.tv_sec, from->stx_atime.tv_nsec};
    to->st_mtimespec = (struct macos_timespec) {from->stx_mtime.tv_sec, from->stx_mtime.tv_nsec};
    to->st_ctimespec = (struct macos_timespec) {from->stx_ctime.tv_sec, from->stx_ctime.tv_nsec};
    to->st_size = (long long) from->stx_size;
    to->st_blocks = (long long) from->stx_blocks;
    to->st_blksize = (int) from->stx_blksize;
}

int fstatat(int directory, const char *path, struct macos_stat *result, int flags) {
    struct statx status;
    int linux_flags = flags & AT_SYMLINK_NOFOLLOW ? 0x100 : 0;
    int failed = done(syscall(__NR_statx, directory, path, linux_flags, STATX_BASIC_STATS, &status));
    if (!failed) {
        translate(&status, result);
    }
    return failed;
}

int fstat(int descriptor, struct macos_stat *result) {
    struct statx status;
    int failed = done(syscall(__NR_statx, descriptor, "", 0x1000, STATX_BASIC_STATS, &status));
    if (!failed) {
        translate(&status, result);
    }
    return failed;
}

int fstatfs(int descriptor, struct macos_statfs *result) {
    long linux_statfs[15];
    int failed = done(syscall(__NR_fstatfs, descriptor, linux_statfs));
    if (!failed) {
        memset(result, 0x5a, sizeof *result);
        result->f_bsize = (unsigned int) linux_statfs[1];
        result->f_blocks = (unsigned long long) linux_statfs[2];
        result->f_bfree = (unsigned long long) linux_statfs[3];
        result->f_bavail = (unsigned long long) linux_statfs[4];
        result->f_type = 26;
    }
    return failed;
}

struct stream {
    int descriptor;
    long filled;
    long at;
    char entries[4096];
};

void *fdopendir(int descriptor) {
    struct macos_stat status;
    if (fstat(descriptor, &status)) {
        return NULL;
    }
    struct stream *stream = malloc(sizeof *stream);
    stream->descriptor = descriptor;
    stream->filled = stream->at = 0;
    return stream;
}

int readdir_r(void *opened, struct macos_dirent *entry, struct macos_dirent **result) {
    struct stream *stream = opened;
    if (stream->at == stream->filled) {
        stream->at = 0;
        stream->filled = syscall(__NR_getdents64, stream->descriptor, stream->entries, sizeof stream->entries);
        if (stream->filled < 0) {
            int failure = *__errno_location();
            *__errno_location() = 0;
            return failure;
        }
    }
    if (stream->filled == 0) {
        *result = NULL;
        return 0;
    }
    const char *linux_entry = stream->entries + stream->at;
    stream->at += *(const unsigned short *) (linux_entry + 16);
    memset(entry, 0x5a, sizeof *entry);
    entry->d_namlen = (unsigned short) strlen(linux_entry + 19);
    memcpy(entry->d_name, linux_entry + 19, entry->d_namlen + 1u);
    *result = entry;
    return 0;
}

int closedir(void *opened) {
    struct stream *stream = opened;
    int failed = done(syscall(__NR_close, stream->descriptor));
    free(stream);
    return failed;
}

int mkdirat(int directory, const char *path, unsigned short mode) {
    return done(syscall(__NR_mkdirat, directory, path, mode));
}

int fchmod(int descriptor, unsigned short mode) {
    return done(syscall(__NR_fchmod, descriptor, mode));
}

int renameatx_np(int from_directory, const char *from, int to_directory, const char *to, unsigned int flags) {
    unsigned int linux_flags = (flags & RENAME_EXCL ? 1 : 0) | (flags & RENAME_SWAP ? 2 : 0);
    return done(syscall(__NR_renameat2, from_directory, from, to_directory, to, linux_flags));
}

int fclonefileat(int source, int directory, const char *destination, unsigned int flags) {
    if (flags & ~(CLONE_NOFOLLOW | CLONE_NOOWNERCOPY)) {
        *__errno_location() = EINVAL;
        return -1;
    }
    int clone = done(syscall(__NR_openat, directory, destination, 0102 | 0200, 0600));
    if (clone < 0) {
        return -1;
    }
    char block[4096];
    long offset = 0;
    long count;
    while ((count = syscall(__NR_pread64, source, block, sizeof block, offset)) > 0) {
        offset += syscall(__NR_pwrite64, clone, block, count, offset);
    }
    syscall(__NR_close, clone);
    return done(count);
}

long flistxattr(int descriptor, char *names, size_t size, int options) {
    return options ? -1 : syscall(__NR_flistxattr, descriptor, names, size);
}

long fgetxattr(int descriptor, const char *name, void *value, size_t size, unsigned int position, int options) {
    return position || options ? -1 : syscall(__NR_fgetxattr, descriptor, name, value, size);
}

int fsetxattr(int descriptor, const char *name, const void *value, size_t size, unsigned int position, int options) {
    return position || options ? -1 : done(syscall(__NR_fsetxattr, descriptor, name, value, size, 0));
}

long preadv(int descriptor, const void *vectors, int count, long offset) {
    return syscall(__NR_preadv, descriptor, vectors, count, offset, 0L);
}

long pwritev(int descriptor, const void *vectors, int count, long offset) {
    return syscall(__NR_pwritev, descriptor, vectors, count, offset, 0L);
}
