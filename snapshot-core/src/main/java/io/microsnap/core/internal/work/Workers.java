package io.microsnap.core.internal.work;

import java.io.IOException;
import java.util.ArrayList;
import java.util.List;
import java.util.Optional;
import java.util.concurrent.CopyOnWriteArrayList;
import java.util.concurrent.CountDownLatch;
import java.util.concurrent.LinkedBlockingQueue;
import java.util.concurrent.ThreadPoolExecutor;
import java.util.concurrent.TimeUnit;
import java.util.concurrent.atomic.AtomicLong;
import java.util.concurrent.atomic.AtomicReference;

/**
 * Threads that do the work of one caller, either together with it ({@link #run}) or beside it ({@link #submit}). They
 * are started ahead, so that no pause waits for a thread to start.
 *
 * <p>The first failure is what the caller gets; a later one is added to it as suppressed. The other tasks see that one
 * has {@linkplain #failed failed}, and stop. No method leaves while a thread still uses what the caller will close: an
 * interrupted caller waits all the same, and is still interrupted afterwards.
 */
public final class Workers implements AutoCloseable {
    /** A pause may have other things to do before there is work. */
    private static final long AWAKE_NANOS = 10_000_000;
    /** Stop waiting for a CPU after this. */
    private static final long MOST_ROUSING_NANOS = 2_000_000;
    /** A thread that is preempted stays so for longer than this. */
    private static final long SIDE_BY_SIDE_NANOS = 20_000;

    private final int count;
    private final List<Thread> threads = new CopyOnWriteArrayList<>();
    private final ThreadPoolExecutor pool;
    private volatile AtomicReference<Throwable> failure = new AtomicReference<>();
    private volatile boolean called;

    /** One piece of work. */
    @FunctionalInterface
    public interface Task {
        void run() throws IOException;
    }

    private Workers(String name, int count) {
        this.count = count;
        pool = new ThreadPoolExecutor(count, Math.max(1, count), 0, TimeUnit.SECONDS, new LinkedBlockingQueue<>(),
                work -> {
                    threads.add(Thread.ofPlatform().daemon().name("microsnap-" + name + "-", threads.size())
                            .unstarted(work));
                    return threads.getLast();
                });
        try {
            pool.prestartAllCoreThreads();
        } catch (Error noMoreThreads) {
            close();
            throw noMoreThreads;
        }
    }

    /**
     * Starts threads.
     *
     * @param name what the threads are for, as thread dumps show it
     * @param count how many there are beside the calling one
     */
    public static Workers started(String name, int count) {
        if (count < 0) {
            throw new IllegalArgumentException(count + " threads");
        }
        return new Workers(name, count);
    }

    /** Returns how many threads there are beside the calling one. */
    public int count() {
        return count;
    }

    /** Returns whether a task has failed, so that the others stop. */
    public boolean failed() {
        return failure.get() != null;
    }

    /** Returns the first failure, if there was one. */
    public Optional<Throwable> failure() {
        return Optional.ofNullable(failure.get());
    }

    /** Throws the first failure, if there was one. */
    public void check() throws IOException {
        Failures.rethrow(failure.get());
    }

    /**
     * Runs tasks side by side, the first one in the calling thread, and returns when all have ended; throws the first
     * failure. May be called again, also after a failure. Must not run concurrently with other calls.
     */
    public void run(List<? extends Task> tasks) throws IOException {
        run(tasks, () -> { });
    }

    /**
     * As {@link #run}; a failure that shows when the caller's task has ended interrupts those that may be waiting, and
     * tasks that have not begun by then never do.
     */
    public void runInterruptibly(List<? extends Task> tasks) throws IOException {
        List<Task> begunInTime = new ArrayList<>();
        for (Task task : tasks) {
            begunInTime.add(() -> {
                // An interruption is lost on a thread that has not taken its task yet.
                if (!failed()) {
                    task.run();
                }
            });
        }
        run(begunInTime, () -> threads.forEach(Thread::interrupt));
    }

    private void run(List<? extends Task> tasks, Runnable afterFailure) throws IOException {
        if (tasks.size() > count + 1) {
            throw new IllegalArgumentException(tasks.size() + " tasks side by side in " + (count + 1) + " threads");
        }
        failure = new AtomicReference<>();
        CountDownLatch working = new CountDownLatch(tasks.size() - 1);
        // Where there is no memory left to hand over all tasks, those under way must end first all the same.
        attempt(() -> {
            int next = 1;
            try {
                for (; next < tasks.size(); next++) {
                    submit(tasks.get(next), working::countDown);
                }
            } finally {
                for (; next < tasks.size(); next++) {
                    working.countDown();
                }
            }
            called = true;
            tasks.getFirst().run();
        });
        if (failed()) {
            afterFailure.run();
        }
        Uninterrupted.await(working::await);
        check();
    }

    /**
     * Gives a task to the next thread that is free, and returns at once. A failure shows in {@link #check}.
     *
     * @param ended what that thread runs when the task has ended and its failure, if there is one, shows
     */
    public void submit(Task task, Runnable ended) {
        pool.execute(() -> {
            try {
                attempt(task);
            } finally {
                // Also where there is no memory left to note a failure: a paused guest may stand still until then.
                ended.run();
            }
        });
    }

    private void attempt(Task task) {
        AtomicReference<Throwable> first = failure;
        try {
            task.run();
        } catch (Throwable thrown) {
            // What all tasks wait for may have failed, and each throws it.
            if (!first.compareAndSet(null, thrown) && first.get() != thrown) {
                first.get().addSuppressed(thrown);
            }
        }
    }

    /**
     * Wakes the threads, which then stay awake for a few milliseconds or until {@link #run}: for a pause that is about
     * to begin, of which waking them could take a millisecond. Returns when each is seen to run beside the calling one,
     * or when that takes too long.
     */
    public void rouse() {
        called = false;
        List<AtomicLong> signs = new ArrayList<>();
        for (int thread = 0; thread < count; thread++) {
            AtomicLong signsOfLife = new AtomicLong();
            signs.add(signsOfLife);
            pool.execute(() -> {
                long start = System.nanoTime();
                while (!called && System.nanoTime() - start < AWAKE_NANOS) {
                    signsOfLife.lazySet(signsOfLife.getPlain() + 1);
                    Thread.onSpinWait();
                }
            });
        }
        long start = System.nanoTime();
        while (!signs.isEmpty() && System.nanoTime() - start < MOST_ROUSING_NANOS) {
            signs.removeIf(Workers::runsBesideThis);
        }
    }

    /** Not on this processor, which the scheduler may well give to both in turns. */
    private static boolean runsBesideThis(AtomicLong signs) {
        long before = signs.get();
        long start = System.nanoTime();
        long passed = 0;
        while (passed < SIDE_BY_SIDE_NANOS) {
            Thread.onSpinWait();
            passed = System.nanoTime() - start;
        }
        return passed < 2 * SIDE_BY_SIDE_NANOS && signs.get() != before;
    }

    /** Interrupts what is under way, drops what waits, and returns when every thread has ended. */
    @Override
    public void close() {
        called = true;
        pool.shutdownNow();
        threads.forEach(thread -> Uninterrupted.await(thread::join));
    }
}
