package io.microsnap.memory.image;

import io.microsnap.core.Progress;
import java.io.IOException;
import java.util.ArrayList;
import java.util.List;
import java.util.concurrent.atomic.AtomicLong;
import java.util.concurrent.atomic.AtomicReference;

/**
 * Works through a range in chunks, in one thread or in several. The first failure stops every lane after its chunk and
 * is what the caller gets.
 */
public final class Lanes {
    /** A chunk's length: whole chunks of a page index and whole words of a page map, whatever the page size. */
    public static final long CHUNK_BYTES = 64L << 20;

    /** One lane's work, with what it needs for itself: a buffer, counters. Used by one thread. */
    @FunctionalInterface
    public interface Lane {
        void chunk(long offset, long lengthBytes) throws IOException;

        /** How much it takes at once. */
        default long chunkBytes() {
            return CHUNK_BYTES;
        }

        /** It is about to take a chunk. */
        default void ready() throws IOException {
        }

        /** There are no chunks left. */
        default void finish() throws IOException {
        }

        /** It or another lane has failed, and it is given no more to do. */
        default void abandon(Throwable failure) {
        }
    }

    private final long lengthBytes;
    private final Progress progress;
    private final AtomicLong next = new AtomicLong();
    private final AtomicReference<Throwable> failure = new AtomicReference<>();
    private long doneBytes;

    private Lanes(long lengthBytes, Progress progress) {
        this.lengthBytes = lengthBytes;
        this.progress = progress;
    }

    /**
     * Gives every chunk of the range to one of the lanes and returns when all are done. A single lane runs in the
     * calling thread.
     */
    public static void run(List<? extends Lane> lanes, long lengthBytes, Progress progress) throws IOException {
        Lanes work = new Lanes(lengthBytes, progress);
        List<Thread> threads = new ArrayList<>();
        for (Lane lane : lanes.subList(1, lanes.size())) {
            threads.add(Thread.ofPlatform().daemon().name("microsnap-lane-", threads.size()).start(
                    () -> work.drain(lane)));
        }
        work.drain(lanes.getFirst());
        awaitEnd(threads);
        rethrow(work.failure.get());
    }

    /** They use the caller's memory and files: there is no leaving before they have stopped, interrupted or not. */
    static void awaitEnd(List<Thread> threads) {
        boolean interrupted = false;
        for (Thread thread : threads) {
            while (thread.isAlive()) {
                try {
                    thread.join();
                } catch (InterruptedException later) {
                    interrupted = true;
                }
            }
        }
        if (interrupted) {
            Thread.currentThread().interrupt();
        }
    }

    private void drain(Lane lane) {
        try {
            while (failure.get() == null) {
                lane.ready();
                long offset = next.getAndAdd(lane.chunkBytes());
                if (offset >= lengthBytes) {
                    lane.finish();
                    return;
                }
                long length = Math.min(lane.chunkBytes(), lengthBytes - offset);
                lane.chunk(offset, length);
                advanced(length);
            }
        } catch (Throwable thrown) {
            // What they all wait for may have failed, and each says so.
            if (!failure.compareAndSet(null, thrown) && failure.get() != thrown) {
                failure.get().addSuppressed(thrown);
            }
        }
        lane.abandon(failure.get());
    }

    private synchronized void advanced(long length) throws IOException {
        doneBytes += length;
        progress.advanced(doneBytes, lengthBytes);
    }

    /** Throws a failure of another thread as it is; null is none. */
    static void rethrow(Throwable failure) throws IOException {
        switch (failure) {
            case null -> { }
            case IOException thrown -> throw thrown;
            case RuntimeException thrown -> throw thrown;
            case Error thrown -> throw thrown;
            case Throwable thrown -> throw new IllegalStateException(thrown);
        }
    }
}
