package io.microsnap.memory.internal.image;

import io.microsnap.core.PageReader;
import io.microsnap.core.Progress;
import io.microsnap.core.internal.file.PageScratch;
import io.microsnap.core.internal.work.Workers;
import io.microsnap.store.internal.PageChecks;
import java.io.IOException;
import java.lang.foreign.MemorySegment;
import java.util.ArrayList;
import java.util.List;
import java.util.Optional;

/** Reads all of a guest in several threads: into memory, or only to check it against its index. */
public final class ImageReads {
    /** Long enough to hide the cost of the call, and short enough to be in the cache when it is checked. */
    private static final long LONGEST_READ_BYTES = 4L << 20;

    private ImageReads() {
    }

    /**
     * Fills memory of zeros, as long as the guest, with the guest's content; does not touch ranges that were never
     * populated.
     *
     * @param checks receives every page, in which case the memory must be of a kind that cannot be truncated; empty to
     * read without checks
     */
    public static void into(MemorySegment memory, PageReader source, Optional<PageChecks> checks, int threads,
            Progress progress) throws IOException {
        run(source, threads, progress, () -> new PopulatedRuns.Parts() {
            @Override
            public void populated(long offset, long lengthBytes) throws IOException {
                for (long done = 0; done < lengthBytes;) {
                    long length = Math.min(LONGEST_READ_BYTES, lengthBytes - done);
                    source.read(offset + done, memory.asSlice(offset + done, length));
                    if (checks.isPresent()) {
                        checks.get().check(memory, offset + done, offset + done, length);
                    }
                    done += length;
                }
            }

            @Override
            public void empty(long offset, long lengthBytes) throws IOException {
                if (checks.isPresent()) {
                    checks.get().checkZero(offset, lengthBytes);
                }
            }
        });
    }

    /** Reads everything once, only to check it. */
    public static void check(PageReader source, PageChecks checks, int threads, Progress progress) throws IOException {
        List<PageScratch> buffers = new ArrayList<>();
        try {
            run(source, threads, progress, () -> {
                buffers.add(new PageScratch());
                return checking(source, checks, buffers.getLast());
            });
        } finally {
            buffers.forEach(PageScratch::close);
        }
    }

    private static PopulatedRuns.Parts checking(PageReader source, PageChecks checks, PageScratch own) {
        return new PopulatedRuns.Parts() {
            @Override
            public void populated(long offset, long lengthBytes) throws IOException {
                for (long done = 0; done < lengthBytes;) {
                    long length = Math.min(own.capacityBytes(), lengthBytes - done);
                    source.read(offset + done, own.buffer().asSlice(0, length));
                    checks.check(own.buffer(), 0, offset + done, length);
                    done += length;
                }
            }

            @Override
            public void empty(long offset, long lengthBytes) throws IOException {
                checks.checkZero(offset, lengthBytes);
            }
        };
    }

    private interface WorkerParts {
        PopulatedRuns.Parts make();
    }

    private static void run(PageReader source, int threads, Progress progress, WorkerParts parts) throws IOException {
        long lengthBytes = source.layout().lengthBytes();
        List<ChunkedWork.Worker> work = new ArrayList<>();
        while (work.size() < Math.min(threads, Math.ceilDiv(lengthBytes, ChunkedWork.CHUNK_BYTES))) {
            PopulatedRuns runs = new PopulatedRuns(source, parts.make());
            work.add((offset, length) -> {
                runs.run(offset, length);
                runs.flush();
            });
        }
        try (Workers workers = Workers.started("read", work.size() - 1)) {
            ChunkedWork.run(workers, work, lengthBytes, progress);
        }
    }
}
