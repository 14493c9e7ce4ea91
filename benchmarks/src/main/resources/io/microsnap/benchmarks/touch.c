// touch cold FILE BYTES PAGES: what a lazy restore does, out of a cold page cache: maps the file privately and touches
// the pages whose numbers PAGES holds, in that order, with the kernel's readahead.
// touch random FILE BYTES PAGES: the same, with random advice.
// touch many FILE BYTES PAGES COUNT: out of a warm page cache, COUNT times one after the other.
#include "peer.h"

#include <fcntl.h>
#include <stdint.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

enum { PAGE = 4096 };

static const char *path;
static int cold, random_advice;
static long long bytes, count, times = 1;
static int64_t *pages;
static volatile long long sum;
static char *memory = MAP_FAILED;

static void evict(void) {
    if (!cold) {
        return;
    }
    int file = open(path, O_RDONLY | O_CLOEXEC);
    if (file < 0 || posix_fadvise(file, 0, 0, POSIX_FADV_DONTNEED) != 0) {
        peer_fail(path);
    }
    close(file);
}

static void touch_once(void) {
    int file = open(path, O_RDONLY | O_CLOEXEC);
    if (file < 0) {
        peer_fail(path);
    }
    memory = mmap(NULL, bytes, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_NORESERVE, file, 0);
    close(file);
    if (memory == MAP_FAILED || (random_advice && madvise(memory, bytes, MADV_RANDOM) != 0)) {
        peer_fail("mmap");
    }
    long long found = 0;
    for (long long number = 0; number < count; number++) {
        found += (signed char) memory[pages[number] * PAGE + 8];
    }
    sum = found;
}

static void unmap(void) {
    if (memory != MAP_FAILED && munmap(memory, bytes) != 0) {
        peer_fail("munmap");
    }
    memory = MAP_FAILED;
}

static void touch_all(void) {
    for (long long time = 0; time < times; time++) {
        unmap();
        touch_once();
    }
}

static void read_pages(const char *from) {
    int file = open(from, O_RDONLY | O_CLOEXEC);
    struct stat status;
    if (file < 0 || fstat(file, &status) != 0) {
        peer_fail(from);
    }
    count = status.st_size / sizeof *pages;
    pages = malloc(status.st_size);
    if (pages == NULL || read(file, pages, status.st_size) != status.st_size) {
        peer_fail(from);
    }
    close(file);
}

int main(int argc, char **argv) {
    if (argc < 5) {
        return 2;
    }
    cold = strcmp(argv[1], "many") != 0;
    random_advice = strcmp(argv[1], "random") == 0;
    path = argv[2];
    bytes = atoll(argv[3]);
    read_pages(argv[4]);
    if (!cold) {
        times = argc > 5 ? atoll(argv[5]) : 1;
    }
    return peer_serve(evict, touch_all, unmap);
}
