package io.microsnap.dedup;

import io.microsnap.core.Progress;
import java.util.Optional;

/**
 * How images are deduplicated. Begin with {@link #DEFAULTS} and change what is to be different.
 *
 * @param engine by which means; empty chooses
 * @param budget when it is worth it
 * @param accounting what to measure
 * @param rereads whether the result is read once more and compared, although it follows from the comparison
 * @param bytesPerSecond how much may be read in a second; {@link Long#MAX_VALUE} for no limit
 * @param threads how many threads compare
 * @param progress hears of every step, and may cancel
 */
public record DedupOptions(Optional<Engine> engine, FragmentationBudget budget, Accounting accounting,
        boolean rereads, long bytesPerSecond, int threads, Progress progress) {
    private static final int MOST_THREADS = 4;

    /** Engine as it comes, default budget, extents measured, no re-reading, no limits. */
    public static final DedupOptions DEFAULTS = new DedupOptions(Optional.empty(), FragmentationBudget.DEFAULT,
            Accounting.EXTENTS, false, Long.MAX_VALUE,
            Math.min(MOST_THREADS, Runtime.getRuntime().availableProcessors()), Progress.NONE);

    public DedupOptions {
        if (bytesPerSecond <= 0 || threads <= 0) {
            throw new IllegalArgumentException(bytesPerSecond + " bytes a second, " + threads + " threads");
        }
    }

    public DedupOptions with(Engine other) {
        return new DedupOptions(Optional.of(other), budget, accounting, rereads, bytesPerSecond, threads, progress);
    }

    public DedupOptions with(FragmentationBudget other) {
        return new DedupOptions(engine, other, accounting, rereads, bytesPerSecond, threads, progress);
    }

    public DedupOptions with(Accounting other) {
        return new DedupOptions(engine, budget, other, rereads, bytesPerSecond, threads, progress);
    }

    public DedupOptions with(Progress other) {
        return new DedupOptions(engine, budget, accounting, rereads, bytesPerSecond, threads, other);
    }

    public DedupOptions withRereading() {
        return new DedupOptions(engine, budget, accounting, true, bytesPerSecond, threads, progress);
    }

    public DedupOptions withBytesPerSecond(long limit) {
        return new DedupOptions(engine, budget, accounting, rereads, limit, threads, progress);
    }

    public DedupOptions withThreads(int count) {
        return new DedupOptions(engine, budget, accounting, rereads, bytesPerSecond, count, progress);
    }
}
