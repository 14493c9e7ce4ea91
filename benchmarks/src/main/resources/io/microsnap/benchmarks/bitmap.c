// bitmap JOB PAGES ROUNDS RESULT: the jobs of BitmapScenario on a plain array of words; the result is left in a file.
#include "peer.h"

#include <fcntl.h>
#include <stdint.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

enum { PAGE_SHIFT = 12, WORDS_A_STEP = 8 };

static const uint64_t STRIDE = 0x9E3779B97F4A7C15ULL | 1;

struct bitmap {
    uint64_t *words;
    uint64_t length_bytes;
    unsigned block_shift;
};

static struct bitmap bitmap;
static uint64_t *words;
static uint64_t pages;
static uint64_t rounds;
static volatile uint64_t *result;

// Both take any offset and refuse one outside, and blocks of any size, as a bitmap that others use must.
static inline int set_if_clean(struct bitmap *bits, uint64_t offset) {
    if (offset >= bits->length_bytes) {
        abort();
    }
    uint64_t block = offset >> bits->block_shift;
    uint64_t bit = 1ULL << (block & 63);
    if (__atomic_load_n(&bits->words[block >> 6], __ATOMIC_ACQUIRE) & bit) {
        return 0;
    }
    return (__atomic_fetch_or(&bits->words[block >> 6], bit, __ATOMIC_SEQ_CST) & bit) == 0;
}

static inline int set(struct bitmap *bits, uint64_t offset) {
    if (offset >= bits->length_bytes) {
        abort();
    }
    uint64_t block = offset >> bits->block_shift;
    uint64_t bit = 1ULL << (block & 63);
    return (__atomic_fetch_or(&bits->words[block >> 6], bit, __ATOMIC_SEQ_CST) & bit) == 0;
}

static void set_dirty(void) {
    uint64_t transitions = 0;
    for (uint64_t round = 0; round < rounds; round++) {
        for (uint64_t count = 0; count < pages; count++) {
            transitions += set_if_clean(&bitmap, ((count * STRIDE) & (pages - 1)) << PAGE_SHIFT);
        }
    }
    *result = transitions;
}

static void set_clean(void) {
    uint64_t transitions = 0;
    for (uint64_t count = 0; count < pages; count++) {
        transitions += set(&bitmap, ((count * STRIDE) & (pages - 1)) << PAGE_SHIFT);
    }
    *result = transitions;
}

static uint64_t sum;

static void __attribute__((noinline)) consume(uint64_t offset, uint64_t length) {
    sum = sum * 31 + offset + length;
}

static inline uint64_t next_word(uint64_t from, uint64_t count) {
    uint64_t at = from;
    while (at + WORDS_A_STEP <= count) {
        uint64_t any = 0;
        for (int step = 0; step < WORDS_A_STEP; step++) {
            any |= words[at + step];
        }
        if (any) {
            break;
        }
        at += WORDS_A_STEP;
    }
    while (at < count && words[at] == 0) {
        at++;
    }
    return at;
}

static void runs_once(void) {
    sum = 0;
    uint64_t count = pages / 64;
    uint64_t from = 0;
    uint64_t to = 0;
    for (uint64_t word = next_word(0, count); word < count; word = next_word(word + 1, count)) {
        uint64_t bits = words[word];
        while (bits) {
            int low = __builtin_ctzll(bits);
            // Adding to the lowest bit carries through its run and sets the first clear bit behind it.
            uint64_t carried = bits + (1ULL << low);
            int high = carried ? __builtin_ctzll(carried & ~bits) : 64;
            bits &= carried;
            if (to == word * 64 + low && to) {
                to = word * 64 + high;
                continue;
            }
            if (to) {
                consume(from << PAGE_SHIFT, (to - from) << PAGE_SHIFT);
            }
            from = word * 64 + low;
            to = word * 64 + high;
        }
    }
    if (to) {
        consume(from << PAGE_SHIFT, (to - from) << PAGE_SHIFT);
    }
}

static void runs(void) {
    for (uint64_t round = 0; round < rounds; round++) {
        runs_once();
    }
    *result = sum;
}

static void clean(void) {
    memset(words, 0, pages / 8);
}

int main(int argc, char **argv) {
    if (argc != 5) {
        return 2;
    }
    pages = strtoull(argv[2], NULL, 10);
    rounds = strtoull(argv[3], NULL, 10);
    int file = open(argv[4], O_RDWR | O_CLOEXEC);
    if (file < 0) {
        peer_fail(argv[4]);
    }
    result = mmap(NULL, sizeof *result, PROT_READ | PROT_WRITE, MAP_SHARED, file, 0);
    words = aligned_alloc(4096, pages / 8);
    if (result == MAP_FAILED || words == NULL) {
        peer_fail("memory");
    }
    bitmap = (struct bitmap) {words, pages << PAGE_SHIFT, PAGE_SHIFT};
    clean();
    if (strcmp(argv[1], "set-dirty") == 0) {
        memset(words, 0xff, pages / 8);
        return peer_serve(NULL, set_dirty, NULL);
    }
    if (strcmp(argv[1], "set-clean") == 0) {
        return peer_serve(clean, set_clean, NULL);
    }
    if (strcmp(argv[1], "runs") == 0) {
        uint64_t state = 88172645463325252ULL;
        for (uint64_t count = 0; count < pages / 100; count++) {
            state ^= state << 13;
            state ^= state >> 7;
            state ^= state << 17;
            set(&bitmap, ((state >> 20) & (pages - 1)) << PAGE_SHIFT);
        }
        return peer_serve(NULL, runs, NULL);
    }
    if (strcmp(argv[1], "scan") == 0) {
        return peer_serve(NULL, runs, NULL);
    }
    return 2;
}
