package io.microsnap.registry.internal.work;

import io.microsnap.core.SnapshotException;
import java.io.IOException;
import java.util.concurrent.ExecutorService;
import java.util.concurrent.Executors;
import java.util.concurrent.Semaphore;
import java.util.concurrent.TimeUnit;
import java.util.concurrent.atomic.AtomicReference;

/**
 * A few threads that do one piece of work after another. The caller that hands over work waits while enough is under
 * way, and learns of the first failure; after one no further work is begun.
 */
public final class Workers implements AutoCloseable {
    private static final long TICK_MILLIS = 100;

    private final ExecutorService threads;
    private final Semaphore room;
    private final int mostUnderWay;
    private final Tick tick;
    private final AtomicReference<Throwable> failure = new AtomicReference<>();

    /** One piece of work. */
    @FunctionalInterface
    public interface Work {
        /** Does it. */
        void run() throws IOException;
    }

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
    public Workers(String name, int count, int mostUnderWay, Tick tick) {
        threads = Executors.newFixedThreadPool(count,
                Thread.ofPlatform().daemon().name("microsnap-" + name + "-", 1).factory());
        room = new Semaphore(mostUnderWay);
        this.mostUnderWay = mostUnderWay;
        this.tick = tick;
    }

    /** Hands over a piece of work; throws the first failure of an earlier one. */
    public void submit(Work work) throws IOException {
        tick.run();
        acquire(1);
        threads.execute(() -> {
            try {
                if (failure.get() == null) {
                    work.run();
                }
            } catch (Throwable thrown) {
                if (!failure.compareAndSet(null, thrown)) {
                    failure.get().addSuppressed(thrown);
                }
            } finally {
                room.release();
            }
        });
    }

    /** Returns when all work is done; throws the first failure. */
    public void finish() throws IOException {
        acquire(mostUnderWay);
        room.release(mostUnderWay);
        rethrow();
    }

    /** Throws the first failure, if there was one. */
    public void check() throws IOException {
        rethrow();
    }

    private void acquire(int permits) throws IOException {
        try {
            while (!room.tryAcquire(permits, TICK_MILLIS, TimeUnit.MILLISECONDS)) {
                rethrow();
                tick.run();
            }
        } catch (InterruptedException e) {
            Thread.currentThread().interrupt();
            throw new SnapshotException("interrupted", e);
        }
        if (failure.get() != null) {
            room.release(permits);
            rethrow();
        }
    }

    private void rethrow() throws IOException {
        switch (failure.get()) {
            case null -> { }
            case IOException thrown -> throw thrown;
            case RuntimeException thrown -> throw thrown;
            case Error thrown -> throw thrown;
            case Throwable thrown -> throw new IllegalStateException(thrown);
        }
    }

    /** Ends what is under way, and returns when no thread is left: what they use may then be closed. */
    @Override
    public void close() {
        threads.shutdownNow();
        boolean interrupted = false;
        while (true) {
            try {
                if (threads.awaitTermination(1, TimeUnit.MINUTES)) {
                    break;
                }
            } catch (InterruptedException e) {
                interrupted = true;
            }
        }
        if (interrupted) {
            Thread.currentThread().interrupt();
        }
    }
}
