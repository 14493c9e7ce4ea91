package io.microsnap.memory.internal.image;

import io.microsnap.core.Progress;
import io.microsnap.core.internal.work.Workers;
import java.io.IOException;
import java.util.ArrayList;
import java.util.List;
import java.util.concurrent.atomic.AtomicLong;

/** Divides a range among workers, chunk by chunk. A failure stops every worker after its chunk. */
public final class ChunkedWork {
    /** A chunk's length: whole chunks of a page index and whole words of a page map, whatever the page size. */
    public static final long CHUNK_BYTES = 64L << 20;

    private final Workers threads;
    private final long lengthBytes;
    private final Progress progress;
    private final AtomicLong next = new AtomicLong();
    private long doneBytes;

    private ChunkedWork(Workers threads, long lengthBytes, Progress progress) {
        this.threads = threads;
        this.lengthBytes = lengthBytes;
        this.progress = progress;
    }

    /** What one thread does, with what it needs for itself: a buffer, counters. */
    @FunctionalInterface
    public interface Worker {
        void chunk(long offset, long lengthBytes) throws IOException;

        /** Returns how many bytes it takes at once. */
        default long chunkBytes() {
            return CHUNK_BYTES;
        }

        /** Called when it is about to take a chunk, if one is left. */
        default void beforeChunk() throws IOException {
        }

        /** Called when no chunk is left. */
        default void finish() throws IOException {
        }

        /** Called when it or another worker has failed: it is given no more to do. */
        default void abandon(Throwable failure) {
        }
    }

    /** Gives every chunk of the range to one of the workers, each in a thread, and returns when all are done. */
    public static void run(Workers threads, List<? extends Worker> workers, long lengthBytes, Progress progress)
            throws IOException {
        ChunkedWork work = new ChunkedWork(threads, lengthBytes, progress);
        // Not in streams, which take longer to warm up than a short pause lasts.
        List<Workers.Task> tasks = new ArrayList<>();
        for (Worker worker : workers) {
            tasks.add(() -> work.drain(worker));
        }
        threads.run(tasks);
    }

    private void drain(Worker worker) throws IOException {
        try {
            while (!threads.failed()) {
                worker.beforeChunk();
                long offset = next.getAndAdd(worker.chunkBytes());
                if (offset >= lengthBytes) {
                    worker.finish();
                    return;
                }
                long length = Math.min(worker.chunkBytes(), lengthBytes - offset);
                worker.chunk(offset, length);
                advanced(length);
            }
        } catch (Throwable thrown) {
            worker.abandon(thrown);
            throw thrown;
        }
        threads.failure().ifPresent(worker::abandon);
    }

    private synchronized void advanced(long length) throws IOException {
        doneBytes += length;
        progress.advanced(doneBytes, lengthBytes);
    }
}
