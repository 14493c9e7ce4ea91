package io.microsnap.memory.internal.image;

import io.microsnap.core.Progress;
import io.microsnap.core.internal.work.Failures;
import io.microsnap.core.internal.work.Uninterrupted;
import java.io.IOException;
import java.util.ArrayList;
import java.util.List;
import java.util.concurrent.CountDownLatch;
import java.util.concurrent.LinkedBlockingQueue;
import java.util.concurrent.ThreadPoolExecutor;
import java.util.concurrent.TimeUnit;
import java.util.concurrent.atomic.AtomicLong;
import java.util.concurrent.atomic.AtomicReference;

/**
 * Threads that work through a range together, chunk by chunk: the calling one and others, which are started ahead so
 * that no pause waits for a thread to start. One range at a time; the first failure stops every worker after its chunk
 * and is what the caller gets.
 */
public final class Workers implements AutoCloseable {
    /** A chunk's length: whole chunks of a page index and whole words of a page map, whatever the page size. */
    public static final long CHUNK_BYTES = 64L << 20;
    /** A pause may have other things to do before there is work. */
    private static final long AWAKE_NANOS = 10_000_000;
    /** Stop waiting for a CPU after this. */
    private static final long MOST_ROUSING_NANOS = 2_000_000;
    /** A thread that is preempted stays so for longer than this. */
    private static final long SIDE_BY_SIDE_NANOS = 20_000;

    private final int most;
    private final List<Thread> threads = new ArrayList<>();
    private final ThreadPoolExecutor others;
    private volatile boolean called;

    private Workers(int most) {
        this.most = most;
        int count = most - 1;
        others = new ThreadPoolExecutor(count, Math.max(1, count), 0, TimeUnit.SECONDS, new LinkedBlockingQueue<>(),
                work -> {
                    threads.add(Thread.ofPlatform().daemon().name("microsnap-worker-", threads.size()).unstarted(work));
                    return threads.getLast();
                });
        try {
            others.prestartAllCoreThreads();
        } catch (Error noMoreThreads) {
            close();
            throw noMoreThreads;
        }
    }

    /**
     * Starts all threads but the calling one.
     *
     * @param most how many may work at a time, the one included that is going to call {@link #run}
     */
    public static Workers started(int most) {
        if (most < 1) {
            throw new IllegalArgumentException(most + " threads");
        }
        return new Workers(most);
    }

    /** Returns how many may work at a time. */
    public int most() {
        return most;
    }

    /** What one thread does, with what it needs for itself: a buffer, counters. */
    @FunctionalInterface
    public interface Worker {
        void chunk(long offset, long lengthBytes) throws IOException;

        /** Returns how much it takes at once. */
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

    /**
     * Wakes the other threads, which then stay awake for a few milliseconds or until there is work: for a pause that is
     * about to begin, of which waking them could take a millisecond. Returns when each is seen to run beside the
     * calling one, or when that takes too long.
     */
    public void rouse() {
        called = false;
        List<AtomicLong> signs = new ArrayList<>();
        for (int other = 1; other < most; other++) {
            AtomicLong signsOfLife = new AtomicLong();
            signs.add(signsOfLife);
            others.execute(() -> {
                long start = System.nanoTime();
                while (!called && System.nanoTime() - start < AWAKE_NANOS) {
                    signsOfLife.lazySet(signsOfLife.getPlain() + 1);
                    Thread.onSpinWait();
                }
            });
        }
        long start = System.nanoTime();
        while (!signs.isEmpty() && System.nanoTime() - start < MOST_ROUSING_NANOS) {
            signs.removeIf(Workers::runsBesideThis);
        }
    }

    /** Not on this processor, which the scheduler may well give to both in turns. */
    private static boolean runsBesideThis(AtomicLong signs) {
        long before = signs.get();
        long start = System.nanoTime();
        long passed = 0;
        while (passed < SIDE_BY_SIDE_NANOS) {
            Thread.onSpinWait();
            passed = System.nanoTime() - start;
        }
        return passed < 2 * SIDE_BY_SIDE_NANOS && signs.get() != before;
    }

    /**
     * Gives every chunk of the range to one of the workers and returns when all are done. The first one runs in the
     * calling thread.
     */
    public void run(List<? extends Worker> workers, long lengthBytes, Progress progress) throws IOException {
        if (workers.size() > most) {
            throw new IllegalArgumentException(workers.size() + " workers where " + most + " may work");
        }
        Work work = new Work(lengthBytes, progress);
        CountDownLatch working = new CountDownLatch(workers.size() - 1);
        for (Worker worker : workers.subList(1, workers.size())) {
            others.execute(() -> {
                try {
                    work.drain(worker);
                } finally {
                    // Also where there is no memory left to note a failure: the guest stands still until then.
                    working.countDown();
                }
            });
        }
        called = true;
        work.drain(workers.getFirst());
        // They use the caller's memory and files: there is no leaving before they have stopped.
        Uninterrupted.await(working::await);
        Failures.rethrow(work.failure.get());
    }

    /** Ends the threads and returns when they have ended. */
    @Override
    public void close() {
        called = true;
        others.shutdown();
        threads.forEach(thread -> Uninterrupted.await(thread::join));
    }

    /** One range, and how far they have come with it. */
    private static final class Work {
        private final long lengthBytes;
        private final Progress progress;
        private final AtomicLong next = new AtomicLong();
        private final AtomicReference<Throwable> failure = new AtomicReference<>();
        private long doneBytes;

        Work(long lengthBytes, Progress progress) {
            this.lengthBytes = lengthBytes;
            this.progress = progress;
        }

        void drain(Worker worker) {
            try {
                while (failure.get() == null) {
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
                // What they all wait for may have failed, and each says so.
                if (!failure.compareAndSet(null, thrown) && failure.get() != thrown) {
                    failure.get().addSuppressed(thrown);
                }
            }
            worker.abandon(failure.get());
        }

        private synchronized void advanced(long length) throws IOException {
            doneBytes += length;
            progress.advanced(doneBytes, lengthBytes);
        }
    }
}
