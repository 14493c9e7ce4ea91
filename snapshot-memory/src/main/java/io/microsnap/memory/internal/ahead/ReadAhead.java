package io.microsnap.memory.internal.ahead;

import io.microsnap.core.GuestMemory;
import io.microsnap.core.Progress;
import io.microsnap.core.internal.file.Advice;
import io.microsnap.core.internal.file.Mapping;
import io.microsnap.core.internal.posix.Descriptor;
import io.microsnap.core.internal.work.Workers;
import io.microsnap.memory.internal.image.ChunkedWork;
import io.microsnap.memory.internal.image.ComposedImage;
import java.io.IOException;
import java.util.ArrayList;
import java.util.List;

/**
 * Reads parts of a lazily mapped image ahead: first it advises the kernel of every run that is not in memory, in
 * ascending order, so that the disk has all requests at once; then it maps the runs, which waits for those requests.
 * Mapping alone would read one run after the other, and take ten times as long.
 */
public final class ReadAhead {
    /** The kernel reads no more than this for one piece of advice on any device. */
    private static final long ADVICE_BYTES = 128 << 10;
    private static final long RUNS_AT_ONCE = 32;
    /** The bytes mapped between two checks for a stop. */
    private static final long MAPPED_AT_ONCE = 2L << 20;

    private final ComposedImage image;
    private final Mapping mapping;
    private final PageRuns wanted;
    private final Extent extent;
    private final long hostPageBytes;
    private final PageRuns missing = new PageRuns();
    private final PageRuns taken = new PageRuns();
    private volatile boolean stopped;

    /** How far it goes. */
    public enum Extent {
        /** Into the page cache: the guest's accesses are still visible in the page tables. */
        PAGE_CACHE,
        /** Into the page tables, so that the guest has no faults. */
        MAPPED
    }

    /**
     * The amounts of a run.
     *
     * @param residentBytes bytes that were in memory already
     * @param readBytes bytes that were requested
     * @param leftOutBytes bytes for which there was no memory
     */
    public record Amounts(long residentBytes, long readBytes, long leftOutBytes) {
    }

    /** Prepares to read the wanted runs, which are ascending. */
    public ReadAhead(ComposedImage image, Mapping mapping, PageRuns wanted, Extent extent) {
        this.image = image;
        this.mapping = mapping;
        this.wanted = wanted;
        this.extent = extent;
        hostPageBytes = image.layers().getFirst().image().posix().getpagesize();
    }

    /**
     * Reads, once. Returns once everything is mapped, or, for the page cache alone, once everything is requested.
     *
     * @param threads how many may work, the calling one included
     * @param mostBytes how much may be read; later runs are left out
     */
    public Amounts run(int threads, long mostBytes) throws IOException {
        try (GuestMemory.Hold _ = mapping.hold()) {
            choose(mostBytes);
            for (int run = 0; run < missing.count() && !stopped; run++) {
                image.pieces(missing.offset(run), missing.length(run), this::advise);
            }
            if (extent == Extent.MAPPED) {
                map(threads);
            }
        }
        return new Amounts(taken.lengthBytes() - missing.lengthBytes(), missing.lengthBytes(),
                wanted.lengthBytes() - taken.lengthBytes());
    }

    /** Makes it return soon. */
    public void stop() {
        stopped = true;
    }

    /** Says whether it was told to stop. What it left out then is not for want of memory. */
    public boolean isStopped() {
        return stopped;
    }

    private void choose(long mostBytes) throws IOException {
        for (int run = 0; run < wanted.count() && !stopped; run++) {
            long start = wanted.offset(run);
            long end = start + wanted.length(run);
            long aligned = start - start % hostPageBytes;
            long[] done = {start};
            mapping.resident(aligned, end - aligned, (offset, lengthBytes) -> {
                read(done[0], Math.max(start, offset), mostBytes);
                long from = Math.max(start, offset);
                taken.add(from, offset + lengthBytes - from);
                done[0] = offset + lengthBytes;
            });
            read(done[0], end, mostBytes);
        }
    }

    private void read(long from, long to, long mostBytes) {
        long lengthBytes = Math.min(to - from, mostBytes - missing.lengthBytes());
        if (lengthBytes > 0) {
            missing.add(from, lengthBytes);
            taken.add(from, lengthBytes);
        }
    }

    private void advise(int layer, long offset, long lengthBytes) throws IOException {
        Descriptor file = image.layers().get(layer).image();
        int willNeed = file.posix().constants().POSIX_FADV_WILLNEED;
        long end = offset + lengthBytes;
        for (long at = offset; at < end && !stopped; at += ADVICE_BYTES) {
            long length = Math.min(ADVICE_BYTES, end - at);
            if (willNeed == 0) {
                mapping.advise(at - at % hostPageBytes, length, Advice.WILL_NEED);
            } else {
                file.check("posix_fadvise", file.posix().posix_fadvise(file.number(), at, length, willNeed),
                        "of " + length + " bytes at " + at);
            }
        }
    }

    private void map(int threads) throws IOException {
        int useful = (int) Math.min(threads, Math.ceilDiv(Math.max(1, taken.count()), RUNS_AT_ONCE));
        List<ChunkedWork.Worker> mappers = new ArrayList<>();
        while (mappers.size() < useful) {
            mappers.add(new Mapper());
        }
        try (Workers workers = Workers.started("map", useful - 1)) {
            ChunkedWork.run(workers, mappers, taken.count(), Progress.NONE);
        }
    }

    /** Maps some runs; its chunks count runs, not bytes. */
    private final class Mapper implements ChunkedWork.Worker {
        @Override
        public long chunkBytes() {
            return RUNS_AT_ONCE;
        }

        @Override
        public void chunk(long firstRun, long runs) throws IOException {
            for (long run = firstRun; run < firstRun + runs; run++) {
                long start = taken.offset((int) run);
                long end = start + taken.length((int) run);
                for (long at = start - start % hostPageBytes; at < end; at += MAPPED_AT_ONCE) {
                    if (stopped || !mapping.populateForReading(at, Math.min(MAPPED_AT_ONCE, end - at))) {
                        return;
                    }
                }
            }
        }
    }
}
