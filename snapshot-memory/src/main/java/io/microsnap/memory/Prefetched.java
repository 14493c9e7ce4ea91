package io.microsnap.memory;

import java.util.Optional;

/**
 * The result of reading ahead.
 *
 * @param wantedBytes the length of the part to read ahead
 * @param residentBytes how much of it was in memory already
 * @param readBytes how much of it was read
 * @param leftOutBytes how much of it was left out, to be read when it is touched
 * @param because why something was left out; empty if nothing was
 */
public record Prefetched(long wantedBytes, long residentBytes, long readBytes, long leftOutBytes,
        Optional<String> because) {
    static final Prefetched NOTHING = new Prefetched(0, 0, 0, 0, Optional.empty());
}
