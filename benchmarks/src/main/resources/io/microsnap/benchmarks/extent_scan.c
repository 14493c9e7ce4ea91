// extent_scan FILE EXTENTS BYTES: finds the file's data with SEEK_DATA and SEEK_HOLE, and fails unless it is this much.
#include "peer.h"

#include <errno.h>
#include <fcntl.h>
#include <unistd.h>

static int file;
static long long extents;
static long long bytes;

static void job(void) {
    off_t end = lseek(file, 0, SEEK_END);
    long long found = 0;
    long long sum = 0;
    for (off_t at = 0; at < end;) {
        off_t data = lseek(file, at, SEEK_DATA);
        if (data < 0 && errno == ENXIO) {
            break;
        }
        off_t hole = data < 0 ? -1 : lseek(file, data, SEEK_HOLE);
        if (hole < 0) {
            peer_fail("lseek");
        }
        found++;
        sum += hole - data;
        at = hole;
    }
    if (found != extents || sum != bytes) {
        fprintf(stderr, "found %lld extents with %lld bytes\n", found, sum);
        exit(1);
    }
}

int main(int argc, char **argv) {
    if (argc != 4) {
        return 2;
    }
    file = open(argv[1], O_RDONLY | O_CLOEXEC);
    if (file < 0) {
        peer_fail(argv[1]);
    }
    extents = atoll(argv[2]);
    bytes = atoll(argv[3]);
    return peer_serve(NULL, job, NULL);
}
