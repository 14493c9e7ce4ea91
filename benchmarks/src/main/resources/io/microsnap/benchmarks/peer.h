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

// Serves runs until asked no more: job is timed, what is done before and after it (each may be NULL) is not.
static inline int peer_serve(void (*before)(void), void (*job)(void), void (*after)(void)) {
    char request[16];
    while (fgets(request, sizeof request, stdin) != NULL) {
        if (before != NULL) {
            before();
        }
        long long start = peer_now();
        job();
        long long end = peer_now();
        if (after != NULL) {
            after();
        }
        printf("%lld\n", end - start);
        fflush(stdout);
    }
    return 0;
}

#endif
