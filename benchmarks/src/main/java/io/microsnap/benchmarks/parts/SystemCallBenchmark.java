package io.microsnap.benchmarks.parts;

import io.microsnap.core.internal.posix.Posix;
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

/** What the way from Java to the kernel costs by itself, and that it allocates nothing. */
@State(Scope.Benchmark)
@BenchmarkMode(Mode.AverageTime)
@OutputTimeUnit(TimeUnit.NANOSECONDS)
@Warmup(iterations = 3, time = 1)
@Measurement(iterations = 5, time = 1)
@Fork(1)
public class SystemCallBenchmark {

    private final Posix posix = Posix.host();

    /** A call that succeeds and does next to nothing. */
    @Benchmark
    public int succeeding() {
        return posix.gettid();
    }

    /** A call that fails at once: errno is carried out. */
    @Benchmark
    public int failing() {
        return posix.close(-1);
    }
}
