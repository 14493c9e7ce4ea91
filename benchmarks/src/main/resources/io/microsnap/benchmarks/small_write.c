// small_write FILE BYTES PASSES: writes the file a 4 KiB page at a time, over and over.
#include "peer.h"

#include <fcntl.h>
#include <string.h>
#include <unistd.h>

enum { PAGE = 4096 };

static char page[PAGE] __attribute__((aligned(PAGE)));
static int file;
static long long bytes;
static int passes;

static void job(void) {
    for (int pass = 0; pass < passes; pass++) {
        for (long long offset = 0; offset < bytes; offset += PAGE) {
            if (pwrite(file, page, PAGE, offset) != PAGE) {
                peer_fail("pwrite");
            }
        }
    }
}

int main(int argc, char **argv) {
    if (argc != 4) {
        return 2;
    }
    file = open(argv[1], O_CREAT | O_WRONLY | O_CLOEXEC, 0600);
    if (file < 0) {
        peer_fail(argv[1]);
    }
    bytes = atoll(argv[2]);
    passes = atoi(argv[3]);
    memset(page, 0x5a, PAGE);
    return peer_serve(NULL, job, NULL);
}
