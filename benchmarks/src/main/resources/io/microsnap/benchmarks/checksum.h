// The CRC32C of a page of 4 KiB, as fast as C computes it.
#ifndef MICROSNAP_CHECKSUM_H
#define MICROSNAP_CHECKSUM_H

#include <stdint.h>
#include <string.h>
#if defined __x86_64__
#include <immintrin.h>
#elif defined __aarch64__
#include <arm_acle.h>
#endif

enum { LANE = 1360, REST = 4096 - 3 * LANE };

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

static inline uint64_t word_at(const unsigned char *at) {
    uint64_t word;
    memcpy(&word, at, sizeof word);
    return word;
}

WITH_CRC static inline uint32_t shifted_slowly(uint32_t crc) {
    uint64_t shifted = crc;
    for (int i = 0; i < LANE; i += 8) {
        shifted = CRC_8(shifted, 0);
    }
    return (uint32_t) shifted;
}

static inline void prepare_checksums(void) {
    for (int byte = 0; byte < 4; byte++) {
        for (uint32_t value = 0; value < 256; value++) {
            over_lane[byte][value] = shifted_slowly(value << (8 * byte));
        }
    }
}

static inline uint32_t shifted(uint32_t crc) {
    return over_lane[0][crc & 255] ^ over_lane[1][crc >> 8 & 255] ^ over_lane[2][crc >> 16 & 255]
            ^ over_lane[3][crc >> 24];
}

WITH_CRC static inline uint32_t page_checksum(const unsigned char *page) {
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

#endif
