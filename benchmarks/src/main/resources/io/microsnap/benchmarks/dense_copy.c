// dense_copy SOURCE DESTINATION: copies a file with copy_file_range.
#include "peer.h"

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

static const char *from;
static const char *to;

static void prepare(void) {
    unlink(to);
}

static void job(void) {
    int source = open(from, O_RDONLY | O_CLOEXEC);
    int destination = open(to, O_CREAT | O_EXCL | O_RDWR | O_CLOEXEC, 0600);
    struct stat status;
    if (source < 0 || destination < 0 || fstat(source, &status) != 0) {
        peer_fail(from);
    }
    for (off_t left = status.st_size; left > 0;) {
        ssize_t copied = copy_file_range(source, NULL, destination, NULL, left, 0);
        if (copied <= 0) {
            peer_fail("copy_file_range");
        }
        left -= copied;
    }
    close(source);
    close(destination);
}

int main(int argc, char **argv) {
    if (argc != 3) {
        return 2;
    }
    from = argv[1];
    to = argv[2];
    return peer_serve(prepare, job, NULL);
}
