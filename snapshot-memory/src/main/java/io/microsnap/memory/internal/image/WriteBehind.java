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
 * What other threads have looked at and one writes to an image, straight from guest memory. A filesystem lets one write
 * at a time into a file: threads that each write what they have looked at wait for each other there, and the one that
 * writes for all never waits.
 *
 * <p>The thread that writes has the {@link #writer} as its sink: before each chunk of its own, which are short, it
 * writes what is there. Each of the others has a {@link Feed}.
 */
final class WriteBehind {
    /** What is handed over at once: a hundred writes take longer than to wake a thread. */
    private static final int BATCH_RANGES = 128;
    private static final long BATCH_BYTES = 1 << 20;
    /** So few of one feed that what they name may still be in the processor's last-level cache when it is copied. */
    private static final int BATCHES = 16;
    /** To wake a thread takes about as long; one that looks hands something over sooner, as a rule. */
    private static final long AWAKE_NANOS = 100_000;

    /** Longer than what is asked about less exactly: which thread looks at a range must make no difference. */
    private static final long LEAST_CHUNK_BYTES = 8L << 20;

    private final Sink image;
    private final PageReader reader;
    private final DirectView view;
    private final Looked looked;
    /** Feeds that have not ended, and the writer while it looks itself. */
    private final AtomicInteger looking = new AtomicInteger();
    private final AtomicBoolean allLookedAt = new AtomicBoolean();
    private final List<Feed> feeds = new ArrayList<>();
    private final Queue<Batch> full = new ConcurrentLinkedQueue<>();
    /** One for each full batch, and one for each feed's end. */
    private final Semaphore news = new Semaphore(0);
    private int ended;
    private boolean begun;
    private volatile Throwable failure;

    /** Hears, once, that everything was looked at. */
    @FunctionalInterface
    interface Looked {
        void atEverything() throws IOException;
    }

    /**
     * Writes to an image.
     *
     * @param looked is called by the thread that looks last: there is time then, for the image takes a while yet
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

    /** Writes what the others hand over; while there is nothing, its thread looks at a little itself. */
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
            // Little, to be soon back at what the others hand over; whole chunks of the index all the same.
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

    /** A worker that begins after the last one has ended finds nothing left. */
    private void foundNothingLeft() throws IOException {
        if (looking.decrementAndGet() == 0 && allLookedAt.compareAndSet(false, true)) {
            looked.atEverything();
        }
    }

    /** Ranges to write, in the order in which they were looked at. */
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

    /** Hands over what one thread has looked at. */
    final class Feed implements Sink {
        private final Semaphore room = new Semaphore(BATCHES);
        private final Batch[] batches = new Batch[BATCHES];
        private Batch batch;
        private int granted;
        private int next;

        private Feed() {
        }

        /**
         * The range will be written, from where the writing thread finds it. Waits while too much is unwritten, and
         * fails once somebody else has.
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

        /** Holds nothing back while the writing thread has nothing else to do. */
        @Override
        public void endChunk() {
            if (news.availablePermits() == 0) {
                flush();
            }
        }

        private Batch free() throws IOException {
            if (granted == 0) {
                // Who had to wait is woken when there is work for a while: waking is the writing thread's time.
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

        /** Nothing is held back any longer. */
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

    /** One for each of the threads that look, each of which must finish or abandon it. */
    Feed feed() {
        Feed feed = new Feed();
        feeds.add(feed);
        looking.incrementAndGet();
        return feed;
    }

    /** Writes what there is to write. */
    void writeWhatIsThere() throws IOException {
        // The first is there before this thread could have looked at anything itself, as a rule.
        boolean there = begun ? news.tryAcquire() : comesSoon();
        begun = true;
        while (there) {
            writeNext();
            there = news.tryAcquire();
        }
    }

    /** Writes until every feed has ended; throws what it was abandoned for. */
    void writeToTheEnd() throws IOException {
        while (ended < feeds.size()) {
            awaitNews();
            writeNext();
        }
    }

    /** Drops what is not written yet and stops the looking workers. From any thread. */
    synchronized void abandon(Throwable why) {
        if (failure == null) {
            failure = why;
            news.release();
            // Those who look learn of it when they next hand something over: none of them must wait for room.
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
