// The half of the benchmarks' conversation that every C peer shares: see CPeer.java.
#ifndef MICROSNAP_PEER_H
#define MICROSNAP_PEER_H

#include <stdio.h>
#include <stdlib.h>
#include <time.h>

// Ends the peer with what failed and errno's text.
static inline void peer_fail(const char *what) {
    perror(what);
    exit(1);
}

static inline long long peer_now(void) {
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return now.tv_sec * 1000000000LL + now.tv_nsec;
}

// Serves runs until asked no more: prepare (may be NULL) is not timed, job is.
static inline int peer_serve(void (*prepare)(void), void (*job)(void)) {
    char request[16];
    while (fgets(request, sizeof request, stdin) != NULL) {
        if (prepare != NULL) {
            prepare();
        }
        long long start = peer_now();
        job();
        long long end = peer_now();
        printf("%lld\n", end - start);
        fflush(stdout);
    }
    return 0;
}

#endif
