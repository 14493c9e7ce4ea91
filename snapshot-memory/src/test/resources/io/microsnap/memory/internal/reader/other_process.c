// RAM of 256 pages of 4 KiB, of which one in eight is written; says where it is, and waits.
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>

int main(void) {
    enum { PAGE = 4096, PAGES = 256 };
    char *ram = mmap(NULL, PAGE * PAGES, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    if (ram == MAP_FAILED) {
        return 1;
    }
    for (int page = 0; page < PAGES; page += 8) {
        memset(ram + page * PAGE, page / 8 + 1, PAGE);
    }
    printf("ram at %lu\n", (unsigned long) ram);
    fflush(stdout);
    return getchar() == EOF ? 0 : 2;
}
