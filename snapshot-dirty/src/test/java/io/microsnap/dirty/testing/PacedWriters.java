package io.microsnap.dirty.testing;

import java.util.ArrayList;
import java.util.List;
import java.util.SplittableRandom;
import java.util.concurrent.Semaphore;
import java.util.concurrent.atomic.AtomicLong;
import java.util.concurrent.atomic.AtomicReference;

/**
 * Threads that write a guest's memory in bursts: each {@link #awaitProgress} starts one and returns in its midst, so
 * that it goes on beside the harvest that follows. Bursts are short beside the memory, for a page that is written again
 * soon hides that an earlier write of it was lost.
 */
public final class PacedWriters implements TrackedGuest.Writing {
    private static final int BURST = 300;
    private static final int AWAITED = 60;

    private final Semaphore allowed = new Semaphore(0);
    private final AtomicLong written = new AtomicLong();
    private final AtomicReference<Throwable> failure = new AtomicReference<>();
    private final List<Thread> threads = new ArrayList<>();

    /** Writes once, wherever and whatever the random numbers say. */
    @FunctionalInterface
    public interface Writer {
        void write(SplittableRandom random) throws Exception;
    }

    /** Starts a thread for each writer, with random numbers of its own. */
    public PacedWriters(long seed, List<Writer> writers) {
        SplittableRandom seeds = new SplittableRandom(seed);
        for (Writer writer : writers) {
            SplittableRandom random = seeds.split();
            threads.add(Thread.ofPlatform().name("guest writer").start(() -> write(writer, random)));
        }
    }

    @Override
    public void awaitProgress() {
        long enough = written.get() + AWAITED;
        allowed.release(BURST);
        while (written.get() < enough && failure.get() == null) {
            Thread.onSpinWait();
        }
        check();
    }

    /** Ends them all. */
    @Override
    public void close() {
        boolean interrupted = false;
        for (Thread thread : threads) {
            thread.interrupt();
            while (thread.isAlive()) {
                try {
                    thread.join();
                } catch (InterruptedException again) {
                    interrupted = true;
                }
            }
        }
        if (interrupted) {
            Thread.currentThread().interrupt();
        }
        check();
    }

    private void write(Writer writer, SplittableRandom random) {
        try {
            while (true) {
                allowed.acquire();
                writer.write(random);
                written.incrementAndGet();
            }
        } catch (InterruptedException closed) {
            // Closing asks for this end.
        } catch (Exception | Error broken) {
            failure.set(broken);
        }
    }

    private void check() {
        if (failure.get() != null) {
            throw new AssertionError("a writer failed", failure.get());
        }
    }
}
