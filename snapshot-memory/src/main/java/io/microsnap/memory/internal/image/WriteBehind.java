package io.microsnap.memory.internal.image;

import io.microsnap.core.PageReader;
import io.microsnap.core.internal.work.Failures;
import io.microsnap.store.internal.PageIndex;
import java.io.IOException;
import java.lang.foreign.MemorySegment;
import java.util.ArrayList;
import java.util.List;
import java.util.Queue;
import java.util.concurrent.ConcurrentLinkedQueue;
import java.util.concurrent.Semaphore;
import java.util.concurrent.atomic.AtomicBoolean;
import java.util.concurrent.atomic.AtomicInteger;

/**
 * Lets one thread write to an image, straight from guest memory, the ranges that other threads have examined. A
 * filesystem allows one write to a file at a time: if every thread wrote its own ranges, they would wait for each
 * other; the one thread that writes for all never waits.
 *
 * <p>The thread that writes has the {@link #writer} as its sink: before each chunk of its own, which is short, it
 * writes the ranges in the queue. Each of the other threads has a {@link Feed}.
 */
final class WriteBehind {
    /** The ranges in a batch: a hundred writes take longer than waking a thread. */
    private static final int BATCH_RANGES = 128;
    private static final long BATCH_BYTES = 1 << 20;
    /** So few for each feed that their memory may still be in the last-level cache when it is copied. */
    private static final int BATCHES = 16;
    /** Waking a thread takes about as long; an examining thread usually hands a batch over sooner. */
    private static final long AWAKE_NANOS = 100_000;

    /** Must exceed the residency-check window, so that results do not depend on which worker scans a range. */
    private static final long LEAST_CHUNK_BYTES = 8L << 20;

    private final Sink image;
    private final PageReader reader;
    private final DirectView view;
    private final Looked looked;
    /** The number of feeds that have not ended, plus the writer while it examines memory itself. */
    private final AtomicInteger looking = new AtomicInteger();
    private final AtomicBoolean allLookedAt = new AtomicBoolean();
    private final List<Feed> feeds = new ArrayList<>();
    private final Queue<Batch> full = new ConcurrentLinkedQueue<>();
    /** One permit for each full batch, and one for each feed's end. */
    private final Semaphore news = new Semaphore(0);
    private int ended;
    private boolean begun;
    private volatile Throwable failure;

    /** Called once, when everything was examined. */
    @FunctionalInterface
    interface Looked {
        void atEverything() throws IOException;
    }

    /**
     * Writes to an image.
     *
     * @param looked the last examining thread calls it: it has time then, because writing the image continues
     */
    WriteBehind(Sink image, PageReader reader, Looked looked) {
        this.image = image;
        this.reader = reader;
        this.looked = looked;
        view = new DirectView(reader);
    }

    /** Returns the sink of the thread that writes. */
    Sink writer() {
        return new Writer();
    }

    /** Writes the batches of the other threads; while there are none, its thread examines a little memory itself. */
    private final class Writer implements Sink {
        @Override
        public void guest(MemorySegment memory, long at, long offset, long lengthBytes) throws IOException {
            image.guest(memory, at, offset, lengthBytes);
        }

        @Override
        public void copy(MemorySegment memory, long at, long offset, long lengthBytes) throws IOException {
            image.copy(memory, at, offset, lengthBytes);
        }

        @Override
        public long chunkBytes() {
            // Small chunks, so that the writer returns to the queue quickly; still whole chunks of the index.
            return Math.max(LEAST_CHUNK_BYTES, (long) PageIndex.PAGES_IN_CHUNK * reader.layout().pageBytes());
        }

        @Override
        public void beginChunk() throws IOException {
            writeWhatIsThere();
            looking.incrementAndGet();
        }

        @Override
        public void endChunk() {
            looking.decrementAndGet();
        }

        @Override
        public void finish() throws IOException {
            foundNothingLeft();
            writeToTheEnd();
        }

        @Override
        public void abandon(Throwable failure) {
            WriteBehind.this.abandon(failure);
        }
    }

    /** Ends the writer's own part: a worker that begins after the last one has ended finds nothing left. */
    private void foundNothingLeft() throws IOException {
        if (looking.decrementAndGet() == 0 && allLookedAt.compareAndSet(false, true)) {
            looked.atEverything();
        }
    }

    /** Ranges to write, in the order in which they were examined. */
    private static final class Batch {
        private final Semaphore room;
        private final long[] offsets = new long[BATCH_RANGES];
        private final long[] lengths = new long[BATCH_RANGES];
        private int ranges;
        private long bytes;

        Batch(Semaphore room) {
            this.room = room;
        }

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

    /** Hands over the ranges that one thread has examined. */
    final class Feed implements Sink {
        private final Semaphore room = new Semaphore(BATCHES);
        private final Batch[] batches = new Batch[BATCHES];
        private Batch batch;
        private int granted;
        private int next;

        private Feed() {
        }

        /**
         * Queues the range for the writing thread. Waits while too much is unwritten; throws once another thread has
         * failed.
         */
        void write(long offset, long lengthBytes) throws IOException {
            if (batch == null) {
                batch = free();
            }
            if (batch.add(offset, lengthBytes)) {
                flush();
            } else {
                endChunk();
            }
        }

        @Override
        public void guest(MemorySegment memory, long at, long offset, long lengthBytes) throws IOException {
            write(offset, lengthBytes);
        }

        @Override
        public void copy(MemorySegment memory, long at, long offset, long lengthBytes) throws IOException {
            image.copy(memory, at, offset, lengthBytes);
        }

        /** Hands everything over if the writing thread is idle. */
        @Override
        public void endChunk() {
            if (news.availablePermits() == 0) {
                flush();
            }
        }

        private Batch free() throws IOException {
            if (granted == 0) {
                // Wakes a waiting thread only when there is room for several batches, because waking costs the writing
                // thread time.
                granted = room.tryAcquire() ? 1 : BATCHES / 2;
                if (granted > 1) {
                    room.acquireUninterruptibly(granted);
                }
            }
            Failures.rethrow(failure);
            granted--;
            int index = next++ % BATCHES;
            if (batches[index] == null) {
                batches[index] = new Batch(room);
            }
            return batches[index];
        }

        /** Hands over everything that is held back. */
        void flush() {
            if (batch != null) {
                full.add(batch);
                batch = null;
                news.release();
            }
        }

        @Override
        public void finish() throws IOException {
            foundNothingLeft();
            flush();
            news.release();
        }

        @Override
        public void abandon(Throwable failure) {
            WriteBehind.this.abandon(failure);
        }
    }

    /** Returns a feed for one examining thread, which must finish or abandon it. */
    Feed feed() {
        Feed feed = new Feed();
        feeds.add(feed);
        looking.incrementAndGet();
        return feed;
    }

    /** Writes all batches in the queue. */
    void writeWhatIsThere() throws IOException {
        // The first batch usually arrives before this thread could have examined anything itself.
        boolean there = begun ? news.tryAcquire() : comesSoon();
        begun = true;
        while (there) {
            writeNext();
            there = news.tryAcquire();
        }
    }

    /** Writes until every feed has ended; throws the failure for which it was abandoned. */
    void writeToTheEnd() throws IOException {
        while (ended < feeds.size()) {
            awaitNews();
            writeNext();
        }
    }

    /** Drops unwritten batches and stops the examining workers. Any thread may call this. */
    synchronized void abandon(Throwable why) {
        if (failure == null) {
            failure = why;
            news.release();
            // Releases the examining threads, which notice the failure at their next batch: none of them must wait for
            // room.
            feeds.forEach(feed -> feed.room.release(Integer.MAX_VALUE / 2));
        }
    }

    private void awaitNews() {
        if (!comesSoon()) {
            news.acquireUninterruptibly();
        }
    }

    private boolean comesSoon() {
        long start = System.nanoTime();
        while (!news.tryAcquire()) {
            if (System.nanoTime() - start > AWAKE_NANOS) {
                return false;
            }
            Thread.onSpinWait();
        }
        return true;
    }

    private void writeNext() throws IOException {
        Failures.rethrow(failure);
        Batch batch = full.poll();
        if (batch == null) {
            ended++;
            return;
        }
        for (int range = 0; range < batch.ranges && failure == null; range++) {
            long offset = batch.offsets[range];
            view.reach(offset);
            image.guest(view.memory(), view.at(offset), offset, batch.lengths[range]);
        }
        batch.clear();
        batch.room.release();
    }
}
