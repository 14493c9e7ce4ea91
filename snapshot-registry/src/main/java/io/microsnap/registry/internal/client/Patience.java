package io.microsnap.registry.internal.client;

import java.time.Duration;
import java.util.concurrent.ThreadLocalRandom;

/**
 * How long to wait for a registry, and how often to try.
 *
 * @param attempts how often a request is made at most
 * @param firstDelay the delay before the second attempt; it doubles for each further one, and varies at random by half
 * @param longestDelay the longest delay, even if the registry asks for more
 * @param silence the longest time without a transferred byte
 * @param leastBytesPerSecond the least average rate of a body, apart from the silence
 */
public record Patience(int attempts, Duration firstDelay, Duration longestDelay, Duration silence,
        long leastBytesPerSecond) {
    /** Limits that suit a network. */
    public static final Patience DEFAULT =
            new Patience(6, Duration.ofMillis(250), Duration.ofSeconds(30), Duration.ofSeconds(60), 16 << 10);

    public Patience {
        if (attempts < 1 || leastBytesPerSecond < 1) {
            throw new IllegalArgumentException(attempts + " attempts, " + leastBytesPerSecond + " bytes a second");
        }
    }

    /** Returns how long to wait after this many failed attempts. */
    Duration delay(int failed) {
        long nanos = firstDelay.toNanos() << Math.min(20, failed - 1);
        long most = Math.min(nanos, longestDelay.toNanos());
        return Duration.ofNanos(most / 2 + ThreadLocalRandom.current().nextLong(most / 2 + 1));
    }

    /**
     * Returns how long a request with a body of this length may take; its head and its body may each begin with a
     * silence.
     */
    Duration limit(long bodyBytes) {
        return silence.multipliedBy(2).plusSeconds(bodyBytes / leastBytesPerSecond);
    }
}
