package io.microsnap.memory.misuse;

/** Where the library calls its user. */
enum Point { PAUSE, SAVE_STATE, RESUME, PROGRESS, MAPPED, VIEW, POPULATED, READ, ARM, HARVEST, LEARN, DISARM, CLOSE }
