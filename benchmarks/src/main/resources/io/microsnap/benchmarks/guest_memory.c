// guest_memory JOB FILE BYTES RAM [RUN_PAGES PER_MILLE BASE]: what capture does, in as few calls as do it, from the memory
// that RAM opens, or from memory of its own where that is "-".
// guest_memory eager FILE BYTES LANES: what restore does.
//   full       all of RAM into a new file, 4 MiB a call
//   dirty      the dirty runs into a new sparse file, or into a clone of BASE where that is not "-"
//   durable    as dirty, and makes the file durable
//   indexed    as dirty, and keeps the CRC32C of each page in memory
//   reference  as dirty, the way of the reference writer: copy a page, seek, write
//   eager      the file into new memory, 4 MiB a call, in LANES threads
#include "checksum.h"
#include "peer.h"

#include <fcntl.h>
#include <linux/fs.h>
#include <pthread.h>
#include <stdint.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/vfs.h>
#include <unistd.h>

enum { PAGE = 4096, CALL = 4 << 20, XFS = 0x58465342 };

static const char *path, *base;
static int file = -1;
static char *ram;
static uint32_t *checksums;
static long long bytes, run_pages, runs, stride, lanes;

// The same places in every language: runs evenly spread, each moved by a hash of its number.
static long long run_start(long long run) {
    uint64_t hash = ((uint64_t) run + 1) * 0x9E3779B97F4A7C15ULL;
    return run * stride + (long long) ((hash >> 33) % (uint64_t) (stride - run_pages + 1));
}

static void write_all(const char *from, long long length, long long offset) {
    if (pwrite(file, from, length, offset) != length) {
        peer_fail("pwrite");
    }
}

static void new_file(void) {
    file = open(path, O_CREAT | O_TRUNC | O_RDWR | O_CLOEXEC, 0600);
    if (file < 0) {
        peer_fail(path);
    }
    if (base == NULL) {
        if (ftruncate(file, bytes) != 0) {
            peer_fail("ftruncate");
        }
        return;
    }
    int source = open(base, O_RDONLY | O_CLOEXEC);
    if (source < 0 || ioctl(file, FICLONE, source) != 0) {
        peer_fail("clone");
    }
    close(source);
    struct statfs fs;
    struct fsxattr attributes = {0};
    if (fstatfs(file, &fs) == 0 && fs.f_type == XFS && ioctl(file, FS_IOC_FSGETXATTR, &attributes) == 0) {
        attributes.fsx_xflags |= FS_XFLAG_COWEXTSIZE;
        attributes.fsx_cowextsize = PAGE;
        if (ioctl(file, FS_IOC_FSSETXATTR, &attributes) != 0) {
            peer_fail("copy-on-write extent size");
        }
    }
}

// Whoever compares it removes it then, and its blocks are free before the next run begins.
static void close_file(void) {
    close(file);
}

static void full(void) {
    for (long long offset = 0; offset < bytes; offset += CALL) {
        write_all(ram + offset, bytes - offset < CALL ? bytes - offset : CALL, offset);
    }
}

static void dirty(void) {
    for (long long run = 0; run < runs; run++) {
        long long offset = run_start(run) * PAGE;
        write_all(ram + offset, run_pages * PAGE, offset);
    }
}

static void durable(void) {
    dirty();
    if (fsync(file) != 0) {
        peer_fail("fsync");
    }
}

static void indexed(void) {
    for (long long run = 0; run < runs; run++) {
        long long first = run_start(run);
        for (long long page = first; page < first + run_pages; page++) {
            checksums[page] = page_checksum((unsigned char *) ram + page * PAGE);
        }
        write_all(ram + first * PAGE, run_pages * PAGE, first * PAGE);
    }
}

static void reference(void) {
    static char page[PAGE] __attribute__((aligned(PAGE)));
    for (long long run = 0; run < runs; run++) {
        for (long long index = 0; index < run_pages; index++) {
            long long offset = (run_start(run) + index) * PAGE;
            memcpy(page, ram + offset, PAGE);
            if (lseek(file, offset, SEEK_SET) != offset || write(file, page, PAGE) != PAGE) {
                peer_fail("write");
            }
        }
    }
}

static char *memory(void) {
    char *made = mmap(NULL, bytes, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
    if (made == MAP_FAILED) {
        peer_fail("mmap");
    }
    return made;
}

// Memory of others, in the page tables of this process before anything is measured.
static char *memory_of(const char *shared) {
    int memfd = open(shared, O_RDONLY | O_CLOEXEC);
    void *mapped = memfd < 0 ? MAP_FAILED : mmap(NULL, bytes, PROT_READ, MAP_SHARED | MAP_POPULATE, memfd, 0);
    if (mapped == MAP_FAILED) {
        peer_fail(shared);
    }
    close(memfd);
    return mapped;
}

static char *full_memory(void) {
    char *made = memory();
    for (long long offset = 0; offset < bytes; offset += 8) {
        *(uint64_t *) (made + offset) = ((uint64_t) offset + 1) * 0x9E3779B97F4A7C15ULL;
    }
    return made;
}

static void no_memory(void) {
    if (ram != NULL) {
        munmap(ram, bytes);
        ram = NULL;
    }
}

static void *lane(void *number) {
    long long chunk = 64LL << 20;
    for (long long start = (long long) (intptr_t) number * chunk; start < bytes; start += lanes * chunk) {
        long long end = start + chunk < bytes ? start + chunk : bytes;
        for (long long offset = start; offset < end; offset += CALL) {
            long long length = end - offset < CALL ? end - offset : CALL;
            if (pread(file, ram + offset, length, offset) != length) {
                peer_fail("pread");
            }
        }
    }
    return NULL;
}

static void eager(void) {
    pthread_t threads[64];
    ram = memory();
    for (long long number = 1; number < lanes; number++) {
        if (pthread_create(&threads[number], NULL, lane, (void *) (intptr_t) number) != 0) {
            peer_fail("pthread_create");
        }
    }
    lane(0);
    for (long long number = 1; number < lanes; number++) {
        pthread_join(threads[number], NULL);
    }
}

int main(int argc, char **argv) {
    if (argc < 5) {
        return 2;
    }
    path = argv[2];
    bytes = atoll(argv[3]);
    if (strcmp(argv[1], "eager") == 0) {
        lanes = atoll(argv[4]);
        file = open(path, O_RDONLY | O_CLOEXEC);
        return file < 0 || lanes > 64 ? 2 : peer_serve(no_memory, eager, NULL);
    }
    ram = strcmp(argv[4], "-") == 0 ? full_memory() : memory_of(argv[4]);
    if (strcmp(argv[1], "full") == 0) {
        return peer_serve(new_file, full, close_file);
    }
    run_pages = atoll(argv[5]);
    runs = bytes / PAGE * atoll(argv[6]) / 1000 / run_pages;
    stride = bytes / PAGE / runs;
    base = strcmp(argv[7], "-") == 0 ? NULL : argv[7];
    if (strcmp(argv[1], "indexed") == 0) {
        checksums = malloc(bytes / PAGE * sizeof *checksums);
        if (checksums == NULL) {
            peer_fail("malloc");
        }
        memset(checksums, 1, bytes / PAGE * sizeof *checksums);
        prepare_checksums();
        return peer_serve(new_file, indexed, close_file);
    }
    if (strcmp(argv[1], "durable") == 0) {
        return peer_serve(new_file, durable, close_file);
    }
    return peer_serve(new_file, strcmp(argv[1], "dirty") == 0 ? dirty : reference, close_file);
}
