package io.microsnap.memory.image;

import io.microsnap.core.PageReader;
import io.microsnap.core.posix.Descriptor;
import java.io.IOException;
import java.util.List;
import java.util.Queue;
import java.util.concurrent.ConcurrentLinkedQueue;
import java.util.concurrent.Semaphore;

/**
 * A thread that writes to an image what others have looked at, straight from guest memory. A filesystem lets one write
 * at a time into a file: lanes that each write what they have looked at wait for each other there, and the one that
 * only writes never waits.
 */
final class WriteBehind implements AutoCloseable {
    /** What is handed over at once: a hundred writes take longer than to wake a thread. */
    private static final int BATCH_RANGES = 128;
    private static final long BATCH_BYTES = 1 << 20;
    /** So few that what they name is still in the processor's last-level cache when the kernel copies it. */
    private static final int BATCHES = 8;

    private final Descriptor image;
    private final DirectView view;
    private final Thread thread;
    private final Queue<Batch> empty = new ConcurrentLinkedQueue<>();
    private final Queue<Batch> full = new ConcurrentLinkedQueue<>();
    private final Semaphore empties = new Semaphore(BATCHES);
    /** One for each full batch, and one for the end. */
    private final Semaphore fulls = new Semaphore(0);
    private volatile boolean abandoned;
    private volatile Throwable failure;
    private boolean ended;
    private long stalledNanos;

    WriteBehind(Descriptor image, PageReader reader) {
        this.image = image;
        view = new DirectView(reader);
        for (int batch = 0; batch < BATCHES; batch++) {
            empty.add(new Batch());
        }
        thread = Thread.ofPlatform().daemon().name("microsnap-write").start(this::work);
    }

    /** Ranges to write, in the order in which they were looked at. */
    private static final class Batch {
        private final long[] offsets = new long[BATCH_RANGES];
        private final long[] lengths = new long[BATCH_RANGES];
        private int ranges;
        private long bytes;

        /** Returns whether it is full now. */
        boolean add(long offset, long lengthBytes) {
            offsets[ranges] = offset;
            lengths[ranges] = lengthBytes;
            ranges++;
            bytes += lengthBytes;
            return ranges == BATCH_RANGES || bytes >= BATCH_BYTES;
        }

        void clear() {
            ranges = 0;
            bytes = 0;
        }
    }

    /** Hands over what one thread has looked at. */
    final class Feed {
        private Batch batch;

        /**
         * The range will be written; its memory must stay as it is until then. Waits while too much is unwritten, and
         * fails once the writing has failed.
         */
        void write(long offset, long lengthBytes) throws IOException {
            if (batch == null) {
                empties.acquireUninterruptibly();
                Lanes.rethrow(failure);
                batch = empty.remove();
            }
            if (batch.add(offset, lengthBytes)) {
                flush();
            }
        }

        /** Nothing is held back any longer. */
        void flush() {
            if (batch != null) {
                full.add(batch);
                batch = null;
                fulls.release();
            }
        }
    }

    /** One for each thread that looks. */
    Feed feed() {
        return new Feed();
    }

    /** Returns when all that was handed over is written, or throws what kept it from being. */
    void finish() throws IOException {
        end();
        Lanes.rethrow(failure);
    }

    /** How long the writing thread slept inside the kernel; known at the end. */
    long stalledNanos() {
        return stalledNanos;
    }

    /** Ends the thread; unless that was the end already, what is not written yet will not be. */
    @Override
    public void close() {
        abandoned = true;
        end();
    }

    private void end() {
        if (!ended) {
            ended = true;
            fulls.release();
        }
        Lanes.awaitEnd(List.of(thread));
    }

    private void work() {
        try {
            ThreadStall stall = ThreadStall.begin(image.posix());
            long waitedNanos = 0;
            while (true) {
                long started = System.nanoTime();
                fulls.acquireUninterruptibly();
                waitedNanos += System.nanoTime() - started;
                Batch batch = full.poll();
                if (batch == null) {
                    break;
                }
                write(batch);
                batch.clear();
                empty.add(batch);
                empties.release();
            }
            stalledNanos = Math.max(0, stall.nanos() - waitedNanos);
        } catch (Throwable thrown) {
            failure = thrown;
            // Those who look learn of it when they next hand something over: none of them must wait for room.
            empties.release(Integer.MAX_VALUE / 2);
        }
    }

    private void write(Batch batch) throws IOException {
        for (int range = 0; range < batch.ranges && !abandoned; range++) {
            long offset = batch.offsets[range];
            view.reach(offset);
            PagePass.write(image, view.memory(), view.at(offset), offset, batch.lengths[range]);
        }
    }
}
