// list STORE COUNT: reads the manifest in every directory of a store.
#include "peer.h"

#include <dirent.h>
#include <fcntl.h>
#include <string.h>
#include <unistd.h>

static const char *path;
static int count;

static void job(void) {
    static char manifest[1 << 20];
    DIR *store = opendir(path);
    if (store == NULL) {
        peer_fail(path);
    }
    int found = 0;
    for (struct dirent *entry = readdir(store); entry != NULL; entry = readdir(store)) {
        if (entry->d_name[0] == '.' || strcmp(entry->d_name, "store.json") == 0) {
            continue;
        }
        int directory = openat(dirfd(store), entry->d_name, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
        int file = openat(directory, "snapshot.json", O_RDONLY | O_CLOEXEC);
        if (file < 0 || read(file, manifest, sizeof manifest) <= 0) {
            peer_fail(entry->d_name);
        }
        close(file);
        close(directory);
        found++;
    }
    closedir(store);
    if (found != count) {
        fprintf(stderr, "%d of %d\n", found, count);
        exit(1);
    }
}

int main(int argc, char **argv) {
    if (argc != 3) {
        return 2;
    }
    path = argv[1];
    count = atoi(argv[2]);
    return peer_serve(NULL, job, NULL);
}
