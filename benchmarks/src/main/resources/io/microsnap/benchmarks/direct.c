// direct JOB FILE BYTES MODE LANES RAM: large aligned requests with LANES in flight.
//   bake      all of RAM into a new file, 4 MiB a call, and makes it durable
//   restore   the file into new memory, 4 MiB a call
//   vectored  RAM into the file, again and again, 1 MiB a call from 64 pieces
// MODE is direct (O_DIRECT), dontcache (RWF_DONTCACHE) or cached.
#include "peer.h"

#include <fcntl.h>
#include <pthread.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/uio.h>
#include <unistd.h>

#ifndef RWF_DONTCACHE
#define RWF_DONTCACHE 0x80
#endif

enum { CALL = 4 << 20, VECTOR_CALL = 1 << 20, PIECES = 64, MOST_LANES = 16 };

static const char *path;
static int file = -1, open_flags, call_flags, restores;
static char *ram, *memory;
static long long bytes, lanes;

static void transfer(char *at, long long length, long long offset) {
    struct iovec vector = {at, (size_t) length};
    ssize_t done = restores ? preadv2(file, &vector, 1, offset, call_flags)
            : pwritev2(file, &vector, 1, offset, call_flags);
    if (done != length) {
        peer_fail(restores ? "preadv2" : "pwritev2");
    }
}

static void *lane(void *number) {
    for (long long offset = (long long) (size_t) number * CALL; offset < bytes; offset += lanes * CALL) {
        transfer((restores ? memory : ram) + offset, bytes - offset < CALL ? bytes - offset : CALL, offset);
    }
    return NULL;
}

static void in_lanes(void) {
    pthread_t threads[MOST_LANES];
    for (long long number = 0; number < lanes; number++) {
        if (pthread_create(&threads[number], NULL, lane, (void *) (size_t) number) != 0) {
            peer_fail("pthread_create");
        }
    }
    for (long long number = 0; number < lanes; number++) {
        pthread_join(threads[number], NULL);
    }
}

static void new_file(void) {
    unlink(path);
    file = open(path, O_CREAT | O_RDWR | O_CLOEXEC | open_flags, 0600);
    if (file < 0 || ftruncate(file, bytes) != 0) {
        peer_fail(path);
    }
}

static void bake(void) {
    in_lanes();
    if (fsync(file) != 0) {
        peer_fail("fsync");
    }
}

static void close_file(void) {
    close(file);
}

static void restore(void) {
    memory = mmap(NULL, (size_t) bytes, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    if (memory == MAP_FAILED) {
        peer_fail("mmap");
    }
    in_lanes();
}

static void unmap(void) {
    munmap(memory, (size_t) bytes);
}

static void vectored(void) {
    struct iovec vectors[PIECES];
    for (long long offset = 0; offset < bytes; offset += VECTOR_CALL) {
        for (int piece = 0; piece < PIECES; piece++) {
            vectors[piece].iov_base = ram + offset + piece * (VECTOR_CALL / PIECES);
            vectors[piece].iov_len = VECTOR_CALL / PIECES;
        }
        if (pwritev(file, vectors, PIECES, offset) != VECTOR_CALL) {
            peer_fail("pwritev");
        }
    }
}

int main(int argc, char **argv) {
    if (argc != 7) {
        return 2;
    }
    path = argv[2];
    bytes = atoll(argv[3]);
    open_flags = strcmp(argv[4], "direct") == 0 ? O_DIRECT : 0;
    call_flags = strcmp(argv[4], "dontcache") == 0 ? RWF_DONTCACHE : 0;
    lanes = atoll(argv[5]);
    restores = strcmp(argv[1], "restore") == 0;
    if (lanes < 1 || lanes > MOST_LANES) {
        return 2;
    }
    if (restores) {
        file = open(path, O_RDONLY | O_CLOEXEC | open_flags);
        if (file < 0) {
            peer_fail(path);
        }
        return peer_serve(NULL, restore, unmap);
    }
    int guest = open(argv[6], O_RDONLY | O_CLOEXEC);
    ram = mmap(NULL, (size_t) bytes, PROT_READ, MAP_SHARED, guest, 0);
    if (guest < 0 || ram == MAP_FAILED) {
        peer_fail(argv[6]);
    }
    if (strcmp(argv[1], "vectored") == 0) {
        new_file();
        return peer_serve(NULL, vectored, NULL);
    }
    return peer_serve(new_file, bake, close_file);
}
