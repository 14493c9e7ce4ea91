// A process of its own with guest memory, which hands its userfaultfd over by number and then does what it is told:
//   write VALUE PAGE PAGE ... .   stores VALUE at the start of each page
//   burst SEED                    stores all over the memory, saying "some" in its midst
// Each command ends with a line "done".
#include <fcntl.h>
#include <inttypes.h>
#include <linux/userfaultfd.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <unistd.h>

static uint64_t next(uint64_t *state)
{
    *state ^= *state << 13;
    *state ^= *state >> 7;
    *state ^= *state << 17;
    return *state;
}

static char *map(size_t bytes)
{
    char *memory = mmap(NULL, bytes, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    if (memory == MAP_FAILED) {
        perror("mmap");
        exit(1);
    }
    return memory;
}

int main(int argc, char **argv)
{
    if (argc != 4) {
        return 2;
    }
    size_t page = (size_t) sysconf(_SC_PAGESIZE);
    size_t pages[2] = {strtoull(argv[1], NULL, 10), strtoull(argv[2], NULL, 10)};
    char *regions[2] = {map(pages[0] * page), map(pages[1] * page)};
    int userfaultfd = (int) syscall(SYS_userfaultfd, O_CLOEXEC | UFFD_USER_MODE_ONLY);
    if (userfaultfd < 0) {
        perror("userfaultfd");
        return 1;
    }
    if (strcmp(argv[3], "synchronous") == 0) {
        struct uffdio_api api = {.api = UFFD_API, .features = UFFD_FEATURE_PAGEFAULT_FLAG_WP};
        if (ioctl(userfaultfd, UFFDIO_API, &api) != 0) {
            perror("UFFDIO_API");
            return 1;
        }
    }
    // The parent may trace its child without this; it is said for hosts where others take the memory over.
    prctl(PR_SET_PTRACER, PR_SET_PTRACER_ANY, 0, 0, 0);
    printf("ready %d %" PRIuPTR " %" PRIuPTR "\n", userfaultfd, (uintptr_t) regions[0], (uintptr_t) regions[1]);
    fflush(stdout);
    char word[32];
    while (scanf("%31s", word) == 1) {
        if (strcmp(word, "write") == 0) {
            int value = 0;
            if (scanf("%d", &value) != 1) {
                return 2;
            }
            while (scanf("%31s", word) == 1 && strcmp(word, ".") != 0) {
                size_t number = strtoull(word, NULL, 10);
                char *at = number < pages[0] ? regions[0] + number * page : regions[1] + (number - pages[0]) * page;
                memcpy(at, &value, sizeof value);
            }
        } else if (strcmp(word, "burst") == 0) {
            uint64_t state = 0;
            if (scanf("%" SCNu64, &state) != 1) {
                return 2;
            }
            state |= 1;
            for (int count = 0; count < 3000; count++) {
                int region = (int) (next(&state) >> 63);
                size_t word_number = next(&state) % (pages[region] * page / sizeof state);
                ((volatile uint64_t *) regions[region])[word_number] = next(&state);
                if (count == 100) {
                    puts("some");
                    fflush(stdout);
                }
            }
        } else {
            return 2;
        }
        puts("done");
        fflush(stdout);
    }
    return 0;
}
