// harvest PAGES DIRTY ROUNDS RESULT: page map scans that take what was written into a bitmap; only they are timed. The
// count is left in a file.
#include "peer.h"

#include <fcntl.h>
#include <linux/userfaultfd.h>
#include <stdint.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <unistd.h>

// Headers older than Linux 6.7 lack these.
#ifndef PAGEMAP_SCAN
struct page_region {
    uint64_t start;
    uint64_t end;
    uint64_t categories;
};
struct pm_scan_arg {
    uint64_t size;
    uint64_t flags;
    uint64_t start;
    uint64_t end;
    uint64_t walk_end;
    uint64_t vec;
    uint64_t vec_len;
    uint64_t max_pages;
    uint64_t category_inverted;
    uint64_t category_mask;
    uint64_t category_anyof_mask;
    uint64_t return_mask;
};
#define PAGEMAP_SCAN _IOWR('f', 16, struct pm_scan_arg)
#define PAGE_IS_WRITTEN (1 << 1)
#define PM_SCAN_WP_MATCHING (1 << 0)
#define PM_SCAN_CHECK_WPASYNC (1 << 1)
#endif
#ifndef UFFD_FEATURE_WP_ASYNC
#define UFFD_FEATURE_WP_UNPOPULATED (1 << 13)
#define UFFD_FEATURE_WP_ASYNC (1 << 15)
#endif

enum { REGIONS = 2048 };

static size_t page;
static uint64_t pages;
static uint64_t dirty;
static char *memory;
static uint64_t *bitmap;
static int pagemap;
static uint64_t state = 88172645463325252ULL;
static volatile uint64_t *result;
static struct page_region regions[REGIONS];

static void write_pages(void) {
    memset(bitmap, 0, pages / 8);
    for (uint64_t written = 0; written < dirty;) {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        uint64_t number = (state >> 20) & (pages - 1);
        if (!(bitmap[number / 64] >> (number % 64) & 1)) {
            bitmap[number / 64] |= 1ULL << (number % 64);
            memory[number * page]++;
            written++;
        }
    }
    memset(bitmap, 0, pages / 8);
}

static void harvest(void) {
    uint64_t start = (uintptr_t) memory;
    struct pm_scan_arg scan = {
        .size = sizeof scan,
        .flags = PM_SCAN_WP_MATCHING | PM_SCAN_CHECK_WPASYNC,
        .start = start,
        .end = start + pages * page,
        .vec = (uintptr_t) regions,
        .vec_len = REGIONS,
        .category_mask = PAGE_IS_WRITTEN,
        .return_mask = PAGE_IS_WRITTEN,
    };
    uint64_t count = 0;
    while (scan.start < scan.end) {
        int found = ioctl(pagemap, PAGEMAP_SCAN, &scan);
        if (found < 0) {
            peer_fail("PAGEMAP_SCAN");
        }
        for (int index = 0; index < found; index++) {
            for (uint64_t at = regions[index].start; at < regions[index].end; at += page) {
                uint64_t number = (at - start) / page;
                __atomic_fetch_or(&bitmap[number / 64], 1ULL << (number % 64), __ATOMIC_SEQ_CST);
                count++;
            }
        }
        scan.start = scan.walk_end;
    }
    *result = count;
}

int main(int argc, char **argv) {
    if (argc != 5) {
        return 2;
    }
    page = (size_t) sysconf(_SC_PAGESIZE);
    pages = strtoull(argv[1], NULL, 10);
    dirty = strtoull(argv[2], NULL, 10);
    int file = open(argv[4], O_RDWR | O_CLOEXEC);
    pagemap = open("/proc/self/pagemap", O_RDONLY | O_CLOEXEC);
    int userfaultfd = (int) syscall(SYS_userfaultfd, O_CLOEXEC | UFFD_USER_MODE_ONLY);
    if (file < 0 || pagemap < 0 || userfaultfd < 0) {
        peer_fail("open");
    }
    result = mmap(NULL, sizeof *result, PROT_READ | PROT_WRITE, MAP_SHARED, file, 0);
    memory = mmap(NULL, pages * page, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    bitmap = calloc(pages / 64, sizeof *bitmap);
    if (result == MAP_FAILED || memory == MAP_FAILED || bitmap == NULL) {
        peer_fail("memory");
    }
    madvise(memory, pages * page, MADV_NOHUGEPAGE);
    memset(memory, 1, pages * page);
    struct uffdio_api api = {.api = UFFD_API, .features = UFFD_FEATURE_WP_ASYNC | UFFD_FEATURE_WP_UNPOPULATED};
    struct uffdio_register all = {
        .range = {.start = (uintptr_t) memory, .len = pages * page}, .mode = UFFDIO_REGISTER_MODE_WP};
    struct uffdio_writeprotect protect = {.range = all.range, .mode = UFFDIO_WRITEPROTECT_MODE_WP};
    if (ioctl(userfaultfd, UFFDIO_API, &api) || ioctl(userfaultfd, UFFDIO_REGISTER, &all)
            || ioctl(userfaultfd, UFFDIO_WRITEPROTECT, &protect)) {
        peer_fail("userfaultfd");
    }
    char request[16];
    while (fgets(request, sizeof request, stdin) != NULL) {
        long long nanoseconds = 0;
        for (int round = 0; round < atoi(argv[3]); round++) {
            write_pages();
            long long start = peer_now();
            harvest();
            nanoseconds += peer_now() - start;
        }
        printf("%lld\n", nanoseconds);
        fflush(stdout);
    }
    return 0;
}
