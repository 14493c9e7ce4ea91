// publish DIRECTORY IMAGE_BYTES MACHINE_BYTES: the writes, syncs and rename of a publication, and nothing else.
#include "peer.h"

#include <fcntl.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

static const char *const names[] = {"memory.img", "memory.idx", "machine.bin"};
static int top;
static int staged = -1;
static int files[3];
static long long lengths[3];
static char *bytes;

static void write_file(int file, long long length) {
    for (long long at = 0; at < length; at += 1 << 20) {
        long long part = length - at < 1 << 20 ? length - at : 1 << 20;
        if (pwrite(file, bytes, part, at) != part) {
            peer_fail("pwrite");
        }
    }
}

static int create(const char *name) {
    int file = openat(staged, name, O_CREAT | O_EXCL | O_RDWR | O_CLOEXEC, 0600);
    if (file < 0) {
        peer_fail(name);
    }
    return file;
}

static void prepare(void) {
    if (staged >= 0) {
        for (int i = 0; i < 3; i++) {
            close(files[i]);
            unlinkat(staged, names[i], 0);
        }
        unlinkat(staged, "snapshot.json", 0);
        close(staged);
        unlinkat(top, "published", AT_REMOVEDIR);
        fsync(top);
    }
    if (mkdirat(top, "staged", 0700) != 0) {
        peer_fail("mkdirat");
    }
    staged = openat(top, "staged", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    for (int i = 0; i < 3; i++) {
        files[i] = create(names[i]);
        write_file(files[i], lengths[i]);
    }
}

static void sync_file(int file) {
    if (fsync(file) != 0) {
        peer_fail("fsync");
    }
}

static void job(void) {
    for (int i = 0; i < 3; i++) {
        sync_file(files[i]);
    }
    int manifest = create("snapshot.json");
    write_file(manifest, 900);
    sync_file(manifest);
    close(manifest);
    sync_file(staged);
    if (renameat(top, "staged", top, "published") != 0) {
        peer_fail("renameat");
    }
    sync_file(top);
}

int main(int argc, char **argv) {
    if (argc != 4) {
        return 2;
    }
    top = open(argv[1], O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if (top < 0) {
        peer_fail(argv[1]);
    }
    lengths[0] = atoll(argv[2]);
    lengths[1] = 8192 + lengths[0] / 1024;
    lengths[2] = atoll(argv[3]);
    bytes = malloc(1 << 20);
    memset(bytes, 0x5a, 1 << 20);
    return peer_serve(prepare, job, NULL);
}
