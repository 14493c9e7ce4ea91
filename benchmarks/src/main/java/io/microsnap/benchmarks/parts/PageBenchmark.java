package io.microsnap.benchmarks.parts;

import io.microsnap.core.internal.file.Pages;
import java.lang.foreign.Arena;
import java.lang.foreign.MemorySegment;
import java.util.concurrent.TimeUnit;
import org.openjdk.jmh.annotations.Benchmark;
import org.openjdk.jmh.annotations.BenchmarkMode;
import org.openjdk.jmh.annotations.Fork;
import org.openjdk.jmh.annotations.Measurement;
import org.openjdk.jmh.annotations.Mode;
import org.openjdk.jmh.annotations.OutputTimeUnit;
import org.openjdk.jmh.annotations.Scope;
import org.openjdk.jmh.annotations.State;
import org.openjdk.jmh.annotations.Warmup;

/** What is asked of every page, for one page in the processor's cache. */
@State(Scope.Benchmark)
@BenchmarkMode(Mode.AverageTime)
@OutputTimeUnit(TimeUnit.NANOSECONDS)
@Warmup(iterations = 3, time = 1)
@Measurement(iterations = 5, time = 1)
@Fork(1)
public class PageBenchmark {
    private static final int PAGE = 4096;

    private final MemorySegment zeros = Arena.ofAuto().allocate(2L * PAGE, PAGE);
    private final MemorySegment bytes = Arena.ofAuto().allocate(2L * PAGE, PAGE).fill((byte) 0x5a);

    /** A page of zeros, all of which must be read to know that. */
    @Benchmark
    public boolean isZero() {
        return Pages.isZero(zeros, 0, PAGE);
    }

    /** Two equal pages. */
    @Benchmark
    public boolean equal() {
        return Pages.equal(bytes, 0, bytes, PAGE, PAGE);
    }

    /** The checksum of a page. */
    @Benchmark
    public int checksum() {
        return Pages.crc32c(bytes, 0, PAGE);
    }
}
