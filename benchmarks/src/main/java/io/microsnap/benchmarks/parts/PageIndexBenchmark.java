package io.microsnap.benchmarks.parts;

import io.microsnap.core.GuestLayout;
import io.microsnap.core.internal.posix.Constants;
import io.microsnap.core.internal.posix.Descriptor;
import io.microsnap.core.internal.posix.Posix;
import io.microsnap.store.internal.PageIndex;
import java.io.IOException;
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
import org.openjdk.jmh.annotations.TearDown;
import org.openjdk.jmh.annotations.Warmup;

/** What an entry of a page index costs, for a guest of 1 GiB. */
@State(Scope.Benchmark)
@BenchmarkMode(Mode.AverageTime)
@OutputTimeUnit(TimeUnit.NANOSECONDS)
@Warmup(iterations = 3, time = 1)
@Measurement(iterations = 5, time = 1)
@Fork(1)
public class PageIndexBenchmark {
    private static final long GUEST_BYTES = 1L << 30;
    private static final int PAGE = 4096;
    private static final long STRIDE = 7919;

    private final GuestLayout layout = GuestLayout.ofSingleRegion(PAGE, GUEST_BYTES);
    private OwnDirectory directory;
    private Descriptor file;
    private PageIndex index;
    private long page;

    /** An index with an entry for each page. */
    @Setup
    public void prepare() throws IOException {
        directory = OwnDirectory.create();
        Constants constants = Posix.host().constants();
        file = Descriptor.open(Posix.host(), directory.path().resolve("index"),
                constants.O_CREAT | constants.O_RDWR, 0600);
        index = PageIndex.create(file, layout);
        for (long each = 0; each < layout.pageCount(); each++) {
            index.set(each, (int) each);
        }
    }

    /** Removes it. */
    @TearDown
    public void remove() throws IOException {
        index.close();
        file.close();
        directory.close();
    }

    /** One entry changed, far from the one before. */
    @Benchmark
    public void set() throws IOException {
        page = (page + STRIDE) & (layout.pageCount() - 1);
        index.set(page, (int) page);
    }

    /** One entry read, far from the one before. */
    @Benchmark
    public int get() throws IOException {
        page = (page + STRIDE) & (layout.pageCount() - 1);
        return index.crc(page);
    }
}
