package io.microsnap.benchmarks.parts;

import io.microsnap.core.BusyException;
import io.microsnap.core.GuestLayout;
import io.microsnap.core.SnapshotId;
import io.microsnap.core.SnapshotReference;
import io.microsnap.dirty.DirtyBitmap;
import io.microsnap.dirty.DirtyTracker;
import io.microsnap.dirty.Epoch;
import java.io.IOException;
import java.util.SplittableRandom;
import java.util.UUID;
import java.util.concurrent.TimeUnit;
import org.openjdk.jmh.annotations.Benchmark;
import org.openjdk.jmh.annotations.BenchmarkMode;
import org.openjdk.jmh.annotations.Fork;
import org.openjdk.jmh.annotations.Measurement;
import org.openjdk.jmh.annotations.Mode;
import org.openjdk.jmh.annotations.OutputTimeUnit;
import org.openjdk.jmh.annotations.Scope;
import org.openjdk.jmh.annotations.Setup;
import org.openjdk.jmh.annotations.State;
import org.openjdk.jmh.annotations.Warmup;

/** What a mark, a scan and an epoch cost by themselves, and that none of them allocates by page or by run. */
@State(Scope.Benchmark)
@BenchmarkMode(Mode.AverageTime)
@OutputTimeUnit(TimeUnit.NANOSECONDS)
@Warmup(iterations = 3, time = 1)
@Measurement(iterations = 5, time = 1)
@Fork(1)
public class DirtyBitmapBenchmark {
    private static final int PAGE = 4096;
    private static final int SECTOR = 512;
    private static final long GUEST_BYTES = 4L << 30;
    private static final SnapshotReference SNAPSHOT =
            new SnapshotReference(new SnapshotId("any"), new UUID(1, 2), 3);

    private final GuestLayout layout = GuestLayout.ofSingleRegion(PAGE, GUEST_BYTES);
    private final DirtyBitmap onePercent = DirtyBitmap.of(layout);
    private final DirtyBitmap other = DirtyBitmap.of(layout);
    private final DirtyTracker tracker = DirtyTracker.ofMarks(layout);
    private long offset;
    private long sum;

    /** One page in a hundred dirty, at random. */
    @Setup
    public void prepare() {
        SplittableRandom random = new SplittableRandom(1);
        for (long count = 0; count < layout.pageCount() / 100; count++) {
            onePercent.set(random.nextLong(layout.pageCount()) * PAGE);
        }
    }

    /** One bit, most often set already. */
    @Benchmark
    public boolean set() {
        return other.set(next());
    }

    /** One write of a device, a sector, with its fence. */
    @Benchmark
    public void markWritten() {
        tracker.markWritten(next() & -SECTOR, SECTOR);
    }

    /** About 10,000 runs. */
    @Benchmark
    public long runs() throws IOException {
        onePercent.runs(0, (start, lengthBytes) -> sum += start ^ lengthBytes);
        return sum;
    }

    /** About 10,000 pages moved there and back. */
    @Benchmark
    public void drain() {
        onePercent.drainInto(other);
        other.drainInto(onePercent);
    }

    /** A whole epoch of about 10,000 marked pages, given back. */
    @Benchmark
    public void epoch() throws BusyException {
        try (Epoch epoch = tracker.harvest()) {
            epoch.tellChanged(onePercent);
        }
    }

    /** An epoch without changes. */
    @Benchmark
    public void emptyEpoch() throws BusyException {
        tracker.harvest().commit(SNAPSHOT);
    }

    private long next() {
        offset = (offset + 0x9E3779B97F4A7L) & (GUEST_BYTES - 1);
        return offset;
    }
}
