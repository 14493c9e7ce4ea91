// pages ROUNDS BYTES zero|equal|crc SUM: asks every 4 KiB page of a memory of that size, over and over, and checks the
// answers: as many pages as there are, or the sum of all checksums.
#include "peer.h"

#include <stdint.h>
#include <string.h>
#include <sys/mman.h>
#if defined __x86_64__
#include <immintrin.h>
#elif defined __aarch64__
#include <arm_acle.h>
#endif

enum { PAGE = 4096, LANE = 1360, REST = PAGE - 3 * LANE };

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

// CRC32C the way that is fast in C: the processor's instruction on three lanes at once, for it takes three cycles;
// lanes are joined by tables that shift a checksum over as many zeros as a lane has bytes.
#if defined __x86_64__
#define WITH_CRC __attribute__((target("sse4.2")))
#define CRC_8(crc, word) _mm_crc32_u64(crc, word)
#elif defined __aarch64__
#define WITH_CRC __attribute__((target("+crc")))
#define CRC_8(crc, word) __crc32cd((uint32_t) (crc), word)
#else
#error this processor has no CRC32C instruction that is known here
#endif

static uint32_t over_lane[4][256];

static uint64_t word_at(const unsigned char *at) {
    uint64_t word;
    memcpy(&word, at, sizeof word);
    return word;
}

WITH_CRC static uint32_t shifted_slowly(uint32_t crc) {
    uint64_t shifted = crc;
    for (int i = 0; i < LANE; i += 8) {
        shifted = CRC_8(shifted, 0);
    }
    return (uint32_t) shifted;
}

static void prepare_crc(void) {
    for (int byte = 0; byte < 4; byte++) {
        for (uint32_t value = 0; value < 256; value++) {
            over_lane[byte][value] = shifted_slowly(value << (8 * byte));
        }
    }
}

static uint32_t shifted(uint32_t crc) {
    return over_lane[0][crc & 255] ^ over_lane[1][crc >> 8 & 255] ^ over_lane[2][crc >> 16 & 255]
            ^ over_lane[3][crc >> 24];
}

WITH_CRC static unsigned long long ask_crc(long long at) {
    const unsigned char *page = memory + at;
    uint64_t first = 0xffffffff;
    uint64_t second = 0;
    uint64_t third = 0;
    for (int i = 0; i < LANE; i += 8) {
        first = CRC_8(first, word_at(page + i));
        second = CRC_8(second, word_at(page + LANE + i));
        third = CRC_8(third, word_at(page + 2 * LANE + i));
    }
    uint64_t crc = shifted(shifted((uint32_t) first) ^ (uint32_t) second) ^ (uint32_t) third;
    for (int i = 0; i < REST; i += 8) {
        crc = CRC_8(crc, word_at(page + 3 * LANE + i));
    }
    return (uint32_t) ~crc;
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
        prepare_crc();
    }
    return peer_serve(NULL, job);
}
