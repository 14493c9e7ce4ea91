// clone_and_diff CANONICAL PRISTINE TARGET: makes TARGET a clone of CANONICAL with TARGET's own differing pages, the way
// it is commonly done: clone, map both, compare the target with the clone a page at a time, write what differs, rename.
// Everything but the sync is timed. TARGET is a new, warm copy of PRISTINE each time.
#include "peer.h"

#include <fcntl.h>
#include <linux/fs.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

enum { PAGE = 4096, CHUNK = 1 << 20 };

static char canonical[4096], pristine[4096], target[4096], temporary[4200];
static char chunk[CHUNK];

static int must_open(const char *path, int flags) {
    int file = open(path, flags | O_CLOEXEC, 0600);
    if (file < 0) {
        peer_fail(path);
    }
    return file;
}

static void read_all(const char *path, int copy) {
    int file = must_open(path, O_RDONLY);
    ssize_t length;
    while ((length = read(file, chunk, CHUNK)) > 0) {
        if (copy >= 0 && write(copy, chunk, length) != length) {
            peer_fail("write");
        }
    }
    if (length < 0) {
        peer_fail(path);
    }
    close(file);
}

static void prepare(void) {
    unlink(target);
    int copy = must_open(target, O_CREAT | O_EXCL | O_RDWR);
    read_all(pristine, copy);
    if (fsync(copy) != 0) {
        peer_fail("fsync");
    }
    close(copy);
    read_all(target, -1);
    read_all(canonical, -1);
}

static void *map(int file, off_t length) {
    void *mapped = mmap(NULL, length, PROT_READ, MAP_PRIVATE, file, 0);
    if (mapped == MAP_FAILED) {
        peer_fail("mmap");
    }
    return mapped;
}

static void job(void) {
    int source = must_open(canonical, O_RDONLY);
    int clone = must_open(temporary, O_CREAT | O_TRUNC | O_RDWR);
    if (ioctl(clone, FICLONE, source) != 0) {
        peer_fail("FICLONE");
    }
    int old = must_open(target, O_RDONLY);
    struct stat status;
    if (fstat(old, &status) != 0) {
        peer_fail("fstat");
    }
    const char *now = map(old, status.st_size);
    const char *cloned = map(clone, status.st_size);
    for (off_t at = 0; at < status.st_size; at += PAGE) {
        size_t length = status.st_size - at < PAGE ? status.st_size - at : PAGE;
        if (memcmp(now + at, cloned + at, length) != 0 && pwrite(clone, now + at, length, at) != (ssize_t) length) {
            peer_fail("pwrite");
        }
    }
    munmap((void *) now, status.st_size);
    munmap((void *) cloned, status.st_size);
    close(old);
    close(source);
    if (rename(temporary, target) != 0) {
        peer_fail("rename");
    }
    close(clone);
}

int main(int argc, char **argv) {
    if (argc != 4) {
        return 2;
    }
    snprintf(canonical, sizeof canonical, "%s", argv[1]);
    snprintf(pristine, sizeof pristine, "%s", argv[2]);
    snprintf(target, sizeof target, "%s", argv[3]);
    snprintf(temporary, sizeof temporary, "%s.tmp", target);
    return peer_serve(prepare, job, NULL);
}
