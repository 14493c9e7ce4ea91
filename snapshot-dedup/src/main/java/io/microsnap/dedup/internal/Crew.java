package io.microsnap.dedup.internal;

import java.io.IOException;
import java.util.ArrayList;
import java.util.List;
import java.util.concurrent.atomic.AtomicReference;

/** A few threads, the caller's among them, that do one piece of work after another until none is left. */
public final class Crew {
    private final int size;
    private final AtomicReference<Throwable> failure = new AtomicReference<>();

    public Crew(int size) {
        this.size = size;
    }

    /** What each member runs; it stops early when {@link #mayGoOn} says so. */
    @FunctionalInterface
    public interface Work {
        void run() throws IOException;
    }

    /** Whether nobody has failed so far. */
    public boolean mayGoOn() {
        return failure.get() == null;
    }

    /** Returns when all have returned; throws what the first to fail threw. */
    public void run(Work work) throws IOException {
        List<Thread> helpers = new ArrayList<>();
        try {
            for (int helper = 1; helper < size; helper++) {
                helpers.add(Thread.ofPlatform().daemon().name("microsnap-compare-" + helper).start(() -> member(work)));
            }
            member(work);
            if (!mayGoOn()) {
                // One may wait for its turn to read, and at a low rate that is long.
                helpers.forEach(Thread::interrupt);
            }
        } finally {
            helpers.forEach(Crew::join);
        }
        switch (failure.get()) {
            case null -> { }
            case IOException thrown -> throw thrown;
            case RuntimeException thrown -> throw thrown;
            case Error thrown -> throw thrown;
            case Throwable thrown -> throw new IllegalStateException(thrown);
        }
    }

    private void member(Work work) {
        try {
            work.run();
        } catch (Throwable thrown) {
            if (!failure.compareAndSet(null, thrown)) {
                failure.get().addSuppressed(thrown);
            }
        }
    }

    private static void join(Thread helper) {
        boolean interrupted = false;
        while (true) {
            try {
                helper.join();
                break;
            } catch (InterruptedException e) {
                // Helpers use what the caller will close: they must be gone first, and soon are.
                interrupted = true;
            }
        }
        if (interrupted) {
            Thread.currentThread().interrupt();
        }
    }
}
