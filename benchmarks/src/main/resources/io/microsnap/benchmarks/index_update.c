// index_update FILE BASE ENTRIES_AT PAGES RUN PERCENT: writes changed entries into a copy of an index, and nothing else.
#include "peer.h"

#include <fcntl.h>
#include <linux/fs.h>
#include <stdint.h>
#include <sys/ioctl.h>
#include <unistd.h>

static const char *path;
static const char *base;
static long long entries_at;
static long long pages;
static int run_pages;
static int percent;
static int file = -1;
static uint32_t zero_page;

static uint32_t crc32c_of_zeros(int length) {
    uint32_t crc = ~0u;
    for (int i = 0; i < length * 8; i++) {
        crc = (crc >> 1) ^ (0x82f63b78u & -(crc & 1));
    }
    return ~crc;
}

static void prepare(void) {
    static char buffer[1 << 20];
    if (file >= 0) {
        close(file);
    }
    unlink(path);
    file = open(path, O_CREAT | O_RDWR | O_CLOEXEC, 0600);
    int from = open(base, O_RDONLY | O_CLOEXEC);
    if (file < 0 || from < 0) {
        peer_fail(path);
    }
    if (ioctl(file, FICLONE, from) != 0) {
        ssize_t count;
        while ((count = read(from, buffer, sizeof buffer)) > 0) {
            if (write(file, buffer, count) != count) {
                peer_fail("write");
            }
        }
    }
    close(from);
}

static void job(void) {
    long long stride = run_pages * 100LL / percent;
    uint32_t entries[4096];
    for (long long first = 0; first + run_pages <= pages; first += stride) {
        long long start = first + (first / stride) % (stride - run_pages);
        int count = 0;
        for (long long page = start; page < start + run_pages && page < pages; page++) {
            entries[count++] = (uint32_t) (page * 0x9E3779B1LL + 2) ^ zero_page;
        }
        if (count > 0 && pwrite(file, entries, count * 4, entries_at + start * 4) != count * 4) {
            peer_fail("pwrite");
        }
    }
}

int main(int argc, char **argv) {
    if (argc != 7) {
        return 2;
    }
    path = argv[1];
    base = argv[2];
    entries_at = atoll(argv[3]);
    pages = atoll(argv[4]);
    run_pages = atoi(argv[5]);
    percent = atoi(argv[6]);
    zero_page = crc32c_of_zeros(4096);
    return peer_serve(prepare, job, NULL);
}
