package io.microsnap.registry.internal.work;

import io.microsnap.core.SnapshotException;
import io.microsnap.core.internal.work.Workers;
import java.io.IOException;
import java.util.concurrent.Semaphore;
import java.util.concurrent.TimeUnit;

/**
 * Pieces of work that threads do beside the caller. The caller waits while enough is under way, and learns of the first
 * failure; after one no further work is begun.
 */
public final class Transfers implements AutoCloseable {
    private static final long TICK_MILLIS = 100;

    private final Workers threads;
    private final Semaphore room;
    private final int mostUnderWay;
    private final Tick tick;

    /** Called by who hands over work or waits, there every tenth of a second; by throwing it ends that. */
    @FunctionalInterface
    public interface Tick {
        /** Tells of progress. */
        void run() throws IOException;
    }

    /**
     * Starts threads.
     *
     * @param mostUnderWay how many pieces are waiting or being done before the next one has to wait
     */
    public Transfers(String name, int count, int mostUnderWay, Tick tick) {
        threads = Workers.started(name, count);
        room = new Semaphore(mostUnderWay);
        this.mostUnderWay = mostUnderWay;
        this.tick = tick;
    }

    /** Hands over a piece of work; throws the first failure of an earlier one. */
    public void submit(Workers.Task work) throws IOException {
        tick.run();
        acquire(1);
        threads.submit(() -> {
            if (!threads.failed()) {
                work.run();
            }
        }, room::release);
    }

    /** Returns when all work is done; throws the first failure. */
    public void finish() throws IOException {
        acquire(mostUnderWay);
        room.release(mostUnderWay);
        threads.check();
    }

    /** Throws the first failure, if there was one. */
    public void check() throws IOException {
        threads.check();
    }

    private void acquire(int permits) throws IOException {
        try {
            while (!room.tryAcquire(permits, TICK_MILLIS, TimeUnit.MILLISECONDS)) {
                threads.check();
                tick.run();
            }
        } catch (InterruptedException e) {
            Thread.currentThread().interrupt();
            throw new SnapshotException("interrupted", e);
        }
        if (threads.failed()) {
            room.release(permits);
            threads.check();
        }
    }

    /** Ends what is under way, and returns when no thread is left: what they use may then be closed. */
    @Override
    public void close() {
        threads.close();
    }
}
