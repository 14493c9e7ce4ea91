package io.microsnap.dedup.internal;

import io.microsnap.core.internal.work.Failures;
import io.microsnap.core.internal.work.Uninterrupted;
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

    /** Returns whether nobody has failed so far. */
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
            // They use what the caller will close: they must be gone first, and soon are.
            helpers.forEach(helper -> Uninterrupted.await(helper::join));
        }
        Failures.rethrow(failure.get());
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
}
