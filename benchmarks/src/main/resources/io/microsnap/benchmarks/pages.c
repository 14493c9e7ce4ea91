// pages ROUNDS BYTES zero|equal|crc SUM: asks every 4 KiB page of a memory of that size, over and over, and checks the
// answers: as many pages as there are, or the sum of all checksums.
#include "checksum.h"
#include "peer.h"

#include <stdint.h>
#include <string.h>
#include <sys/mman.h>

enum { PAGE = 4096 };

static unsigned char *memory;
static unsigned char *other;
static long long rounds;
static long long bytes;
static unsigned long long expected;
static unsigned long long (*ask)(long long page);

static int is_zero(const unsigned char *page) {
    for (int step = 0; step < PAGE; step += 1024) {
        const uint64_t *words = (const uint64_t *) (page + step);
        uint64_t bits = 0;
        for (int i = 0; i < 128; i++) {
            bits |= words[i];
        }
        if (bits) {
            return 0;
        }
    }
    return 1;
}

static unsigned long long ask_zero(long long at) {
    return (unsigned long long) is_zero(memory + at);
}

static unsigned long long ask_equal(long long at) {
    return memcmp(memory + at, other + at, PAGE) == 0;
}

static unsigned long long ask_crc(long long at) {
    return page_checksum(memory + at);
}

static void job(void) {
    unsigned long long sum = 0;
    for (long long round = 0; round < rounds; round++) {
        for (long long at = 0; at < bytes; at += PAGE) {
            sum += ask(at);
        }
    }
    if (sum != expected) {
        peer_fail("another sum");
    }
}

static unsigned char *map(void) {
    int flags = MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE;
    void *mapped = mmap(NULL, (size_t) bytes, PROT_READ | PROT_WRITE, flags, -1, 0);
    if (mapped == MAP_FAILED) {
        peer_fail("mmap");
    }
    return mapped;
}

static void fill(unsigned char *to) {
    for (long long at = 0; at < bytes; at += 8) {
        uint64_t word = (uint64_t) (at + 8) * 0x9e3779b97f4a7c15;
        memcpy(to + at, &word, sizeof word);
    }
}

int main(int argc, char **argv) {
    if (argc != 5) {
        return 2;
    }
    rounds = atoll(argv[1]);
    bytes = atoll(argv[2]);
    expected = strtoull(argv[4], NULL, 10);
    memory = map();
    if (!strcmp(argv[3], "zero")) {
        ask = ask_zero;
        memset(memory, 0, (size_t) bytes);
    } else if (!strcmp(argv[3], "equal")) {
        ask = ask_equal;
        other = map();
        fill(memory);
        fill(other);
    } else {
        ask = ask_crc;
        fill(memory);
        prepare_checksums();
    }
    return peer_serve(NULL, job, NULL);
}
