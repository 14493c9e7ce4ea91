package io.microsnap.memory.misuse;

import java.util.SplittableRandom;
import java.util.concurrent.atomic.AtomicReference;

/** A thread that uses the library: of the platform, or virtual. */
final class Caller {
    private final AtomicReference<Throwable> failure = new AtomicReference<>();
    private final Thread thread;

    /** What it does. */
    @FunctionalInterface
    interface Work {
        void run() throws Exception;
    }

    Caller(SplittableRandom random, Work work) {
        Runnable safely = () -> {
            try {
                work.run();
            } catch (Throwable thrown) {
                failure.set(thrown);
            }
        };
        thread = random.nextBoolean() ? Thread.ofVirtual().unstarted(safely) : Thread.ofPlatform().unstarted(safely);
    }

    Caller start() {
        thread.start();
        return this;
    }

    Thread thread() {
        return thread;
    }

    /** Waits for its end, and throws what it met. */
    void join() throws InterruptedException {
        thread.join();
        if (failure.get() != null) {
            throw new AssertionError("in " + thread, failure.get());
        }
    }
}
