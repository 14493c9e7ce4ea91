package io.microsnap.registry.internal.client;

import java.time.Duration;
import java.util.concurrent.ThreadLocalRandom;

/**
 * How long to wait for a registry, and how often to try.
 *
 * @param attempts how often a request is made at most
 * @param firstDelay before the second attempt; it doubles from then on, and varies at random by half
 * @param longestDelay the most, also where the registry asks for more
 * @param silence how long no byte may move
 * @param leastBytesPerSecond what a body must reach on average, beyond the silence
 */
public record Patience(int attempts, Duration firstDelay, Duration longestDelay, Duration silence,
        long leastBytesPerSecond) {
    /** What suits a network. */
    public static final Patience DEFAULT =
            new Patience(6, Duration.ofMillis(250), Duration.ofSeconds(30), Duration.ofSeconds(60), 16 << 10);

    public Patience {
        if (attempts < 1 || leastBytesPerSecond < 1) {
            throw new IllegalArgumentException(attempts + " attempts, " + leastBytesPerSecond + " bytes a second");
        }
    }

    /** How long to wait after this many failed attempts. */
    Duration delay(int failed) {
        long nanos = firstDelay.toNanos() << Math.min(20, failed - 1);
        long most = Math.min(nanos, longestDelay.toNanos());
        return Duration.ofNanos(most / 2 + ThreadLocalRandom.current().nextLong(most / 2 + 1));
    }

    /** How long a request with so many bytes of body may take; its head and its body may each begin with a silence. */
    Duration limit(long bodyBytes) {
        return silence.multipliedBy(2).plusSeconds(bodyBytes / leastBytesPerSecond);
    }
}
