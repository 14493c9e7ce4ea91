package io.microsnap.dedup;

import io.microsnap.core.Progress;
import io.microsnap.store.FragmentationPolicy;
import java.time.Duration;
import java.util.Objects;
import java.util.Optional;

/**
 * How images are deduplicated. Begin with {@link #DEFAULTS} and change what should differ.
 *
 * @param engine the engine; empty for the default one
 * @param fragmentation how much to share, and when sharing is worthwhile
 * @param accounting what to measure
 * @param rereads whether to read and compare the result once more, although it follows from the comparison
 * @param bytesPerSecond how much may be read in a second; {@link Long#MAX_VALUE} for no limit
 * @param threads how many threads compare
 * @param patience how long to wait for another process that is deduplicating one of the two images
 * @param progress receives every step, and may cancel
 */
public record DedupOptions(Optional<Engine> engine, FragmentationPolicy fragmentation, Accounting accounting,
        boolean rereads, long bytesPerSecond, int threads, Duration patience, Progress progress) {
    private static final int MOST_THREADS = 4;

    /** Default engine, default policy, extents measured, no re-reading, no limits, a minute's patience. */
    public static final DedupOptions DEFAULTS = new DedupOptions(Optional.empty(), FragmentationPolicy.DEFAULT,
            Accounting.EXTENTS, false, Long.MAX_VALUE,
            Math.min(MOST_THREADS, Runtime.getRuntime().availableProcessors()), Duration.ofMinutes(1), Progress.NONE);

    public DedupOptions {
        Objects.requireNonNull(fragmentation);
        if (bytesPerSecond <= 0 || threads <= 0 || patience.isNegative()) {
            throw new IllegalArgumentException(bytesPerSecond + " bytes a second, " + threads + " threads, patience "
                    + patience);
        }
    }

    /** Returns these options with another engine. */
    public DedupOptions with(Engine other) {
        return with(Optional.of(other), fragmentation, accounting, progress);
    }

    /** Returns these options with another fragmentation policy. */
    public DedupOptions with(FragmentationPolicy other) {
        return with(engine, other, accounting, progress);
    }

    /** Returns these options with other measurements. */
    public DedupOptions with(Accounting other) {
        return with(engine, fragmentation, other, progress);
    }

    /** Returns these options with another listener, which may cancel. */
    public DedupOptions with(Progress other) {
        return with(engine, fragmentation, accounting, other);
    }

    private DedupOptions with(Optional<Engine> newEngine, FragmentationPolicy policy, Accounting measured,
            Progress listener) {
        return new DedupOptions(
                newEngine, policy, measured, rereads, bytesPerSecond, threads, patience, listener);
    }

    /** Returns these options; the result is read once more and compared. */
    public DedupOptions withRereading() {
        return new DedupOptions(
                engine, fragmentation, accounting, true, bytesPerSecond, threads, patience, progress);
    }

    /** Returns these options with another limit to how much is read in a second. */
    public DedupOptions withBytesPerSecond(long limit) {
        return new DedupOptions(engine, fragmentation, accounting, rereads, limit, threads, patience, progress);
    }

    /** Returns these options with another number of threads. */
    public DedupOptions withThreads(int count) {
        return new DedupOptions(
                engine, fragmentation, accounting, rereads, bytesPerSecond, count, patience, progress);
    }

    /** Returns these options with another limit to waiting for an image that is being deduplicated. */
    public DedupOptions withPatience(Duration longest) {
        return new DedupOptions(
                engine, fragmentation, accounting, rereads, bytesPerSecond, threads, longest, progress);
    }
}
