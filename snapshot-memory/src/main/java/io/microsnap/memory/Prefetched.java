package io.microsnap.memory;

import java.util.Optional;

/**
 * What came of reading ahead.
 *
 * @param wantedBytes how long the part was that was to be read ahead
 * @param residentBytes what of it was in memory already
 * @param readBytes what of it was read
 * @param leftOutBytes what of it was not read, and is read when it is touched
 * @param because why something was left out; empty where nothing was
 */
public record Prefetched(long wantedBytes, long residentBytes, long readBytes, long leftOutBytes,
        Optional<String> because) {
    static final Prefetched NOTHING = new Prefetched(0, 0, 0, 0, Optional.empty());
}
