// restore WAY PLAN COPIES FIRST: what a restore does, in as few calls as do it, and then the touches of a guest.
//   map       the pieces of the plan's files mapped privately, one over another
//   populate  as map, and every page of them populated before it is handed out
//   read      the pieces read into anonymous memory, 4 MiB a call
//   memfd     the pieces read into a memfd
//   huge      as read, with transparent huge pages
//
// The conversation: "run" makes COPIES copies, which stay, touches the plan's pages in each, and answers
//   NANOSECONDS HANDED-OUT HANDED-OUT-99TH FIRST-PAGES MINOR MAJOR SUM
// "drop" unmaps them and answers "dropped".
#include "peer.h"

#include <fcntl.h>
#include <stdint.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <unistd.h>

enum { CALL = 4 << 20, MOST_FILES = 16, MOST_COPIES = 1000, LONGEST_PATH = 4096 };

struct piece {
    long long offset, length;
    int file;
};

static const char *way;
static long long bytes, piece_count, page_count;
static int file_count, copy_count, first_pages;
static char paths[MOST_FILES][LONGEST_PATH];
static struct piece *pieces;
static long long *pages;
static char *copies[MOST_COPIES];
static long long handed_out[MOST_COPIES];
static long long first_after;

static void read_plan(const char *path) {
    FILE *plan = fopen(path, "r");
    if (plan == NULL || fscanf(plan, "bytes %lld files %d ", &bytes, &file_count) != 2 || file_count > MOST_FILES) {
        peer_fail(path);
    }
    for (int file = 0; file < file_count; file++) {
        if (fscanf(plan, "%4095[^\n]\n", paths[file]) != 1) {
            peer_fail("plan: files");
        }
    }
    if (fscanf(plan, "pieces %lld ", &piece_count) != 1) {
        peer_fail("plan: pieces");
    }
    pieces = calloc((size_t) piece_count, sizeof *pieces);
    for (long long piece = 0; piece < piece_count; piece++) {
        struct piece *read = &pieces[piece];
        if (fscanf(plan, "%lld %lld %d ", &read->offset, &read->length, &read->file) != 3) {
            peer_fail("plan: piece");
        }
    }
    if (fscanf(plan, "pages %lld ", &page_count) != 1) {
        peer_fail("plan: pages");
    }
    pages = calloc((size_t) page_count, sizeof *pages);
    for (long long page = 0; page < page_count; page++) {
        if (fscanf(plan, "%lld ", &pages[page]) != 1) {
            peer_fail("plan: page");
        }
    }
    fclose(plan);
}

static void *checked(void *mapped) {
    if (mapped == MAP_FAILED) {
        peer_fail("mmap");
    }
    return mapped;
}

static char *mapped(const int *files) {
    char *memory = checked(mmap(NULL, (size_t) bytes, PROT_READ | PROT_WRITE,
            MAP_PRIVATE | MAP_NORESERVE, files[0], 0));
    for (long long piece = 0; piece < piece_count; piece++) {
        const struct piece *from = &pieces[piece];
        if (from->file != 0) {
            checked(mmap(memory + from->offset, (size_t) from->length, PROT_READ | PROT_WRITE,
                    MAP_PRIVATE | MAP_NORESERVE | MAP_FIXED, files[from->file], from->offset));
        }
    }
    if (strcmp(way, "populate") == 0 && madvise(memory, (size_t) bytes, MADV_POPULATE_READ) != 0) {
        peer_fail("populate");
    }
    return memory;
}

static char *read_in(const int *files) {
    char *memory;
    if (strcmp(way, "memfd") == 0) {
        int memfd = memfd_create("guest", MFD_CLOEXEC);
        if (memfd < 0 || ftruncate(memfd, bytes) != 0) {
            peer_fail("memfd");
        }
        memory = checked(mmap(NULL, (size_t) bytes, PROT_READ | PROT_WRITE, MAP_SHARED, memfd, 0));
        close(memfd);
    } else {
        memory = checked(mmap(NULL, (size_t) bytes, PROT_READ | PROT_WRITE,
                MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0));
        if (strcmp(way, "huge") == 0 && madvise(memory, (size_t) bytes, MADV_HUGEPAGE) != 0) {
            peer_fail("huge pages");
        }
    }
    for (long long piece = 0; piece < piece_count; piece++) {
        const struct piece *from = &pieces[piece];
        for (long long done = 0; done < from->length; done += CALL) {
            long long length = from->length - done < CALL ? from->length - done : CALL;
            long long offset = from->offset + done;
            if (pread(files[from->file], memory + offset, (size_t) length, offset) != length) {
                peer_fail("pread");
            }
        }
    }
    return memory;
}

static char *restored(void) {
    int files[MOST_FILES];
    for (int file = 0; file < file_count; file++) {
        files[file] = open(paths[file], O_RDONLY | O_CLOEXEC);
        if (files[file] < 0) {
            peer_fail(paths[file]);
        }
    }
    int maps = strcmp(way, "map") == 0 || strcmp(way, "populate") == 0;
    char *memory = maps ? mapped(files) : read_in(files);
    for (int file = 0; file < file_count; file++) {
        close(files[file]);
    }
    return memory;
}

static uint64_t touch(const char *memory, long long from, long long until) {
    uint64_t sum = 0;
    for (long long page = from; page < until; page++) {
        sum += *(const volatile uint64_t *) (memory + pages[page]);
    }
    return sum;
}

static uint64_t restore_and_touch(int copy) {
    long long start = peer_now();
    copies[copy] = restored();
    handed_out[copy] = peer_now() - start;
    uint64_t sum = touch(copies[copy], 0, first_pages);
    if (copy == 0) {
        first_after = peer_now() - start;
    }
    return sum + touch(copies[copy], first_pages, page_count);
}

static int by_time(const void *one, const void *other) {
    long long left = *(const long long *) one, right = *(const long long *) other;
    return (left > right) - (left < right);
}

static void run(void) {
    struct rusage before, after;
    uint64_t sum = 0;
    getrusage(RUSAGE_SELF, &before);
    long long start = peer_now();
    for (int copy = 0; copy < copy_count; copy++) {
        sum += restore_and_touch(copy);
    }
    long long nanos = peer_now() - start;
    getrusage(RUSAGE_SELF, &after);
    qsort(handed_out, (size_t) copy_count, sizeof *handed_out, by_time);
    printf("%lld %lld %lld %lld %ld %ld %lld\n", nanos, handed_out[copy_count / 2],
            handed_out[(99 * copy_count + 99) / 100 - 1], first_after, after.ru_minflt - before.ru_minflt,
            after.ru_majflt - before.ru_majflt, (long long) sum);
}

static void drop(void) {
    for (int copy = 0; copy < copy_count; copy++) {
        munmap(copies[copy], (size_t) bytes);
    }
    printf("dropped\n");
}

int main(int argc, char **argv) {
    if (argc != 5) {
        return 2;
    }
    way = argv[1];
    read_plan(argv[2]);
    copy_count = atoi(argv[3]);
    first_pages = atoi(argv[4]);
    if (copy_count < 1 || copy_count > MOST_COPIES || first_pages > page_count) {
        return 2;
    }
    char request[16];
    while (fgets(request, sizeof request, stdin) != NULL) {
        if (strcmp(request, "run\n") == 0) {
            run();
        } else {
            drop();
        }
        fflush(stdout);
    }
    return 0;
}
