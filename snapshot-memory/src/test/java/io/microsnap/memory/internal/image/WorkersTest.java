package io.microsnap.memory.internal.image;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatIllegalArgumentException;
import static org.assertj.core.api.Assertions.assertThatThrownBy;

import io.microsnap.core.Progress;
import java.io.IOException;
import java.util.List;
import java.util.Set;
import java.util.concurrent.BrokenBarrierException;
import java.util.concurrent.CompletableFuture;
import java.util.concurrent.ConcurrentHashMap;
import java.util.concurrent.CyclicBarrier;
import java.util.concurrent.atomic.AtomicBoolean;
import org.junit.jupiter.api.AfterEach;
import org.junit.jupiter.api.Test;

final class WorkersTest {
    private static final long LENGTH = 4 * Workers.CHUNK_BYTES;

    private final IOException first = new IOException("the first");
    private final CompletableFuture<Void> otherHasBegun = new CompletableFuture<>();
    private final CompletableFuture<Thread> failed = new CompletableFuture<>();
    private final Workers workers = Workers.started(2);
    private int chunks;

    @AfterEach
    void noThreadIsLeft() {
        workers.close();
        assertThat(Thread.getAllStackTraces().keySet()).noneMatch(thread -> thread.getName().startsWith("microsnap-"));
    }

    @Test
    void whereAWorkerHasFailedTheOthersTakeNoMore() {
        Workers.Worker other = (offset, lengthBytes) -> {
            chunks++;
            awaitFailure();
        };
        assertThatThrownBy(() -> workers.run(List.of(other, failing()), LENGTH, Progress.NONE)).isSameAs(first);
        assertThat(chunks).isEqualTo(1);
    }

    /** Those that are awake already are given work, or ended, as those that sleep. */
    @Test
    void theyMayBeRousedAndThenWorkAndBeRousedAgain() throws IOException {
        Set<Thread> working = ConcurrentHashMap.newKeySet();
        CyclicBarrier both = new CyclicBarrier(2);
        Workers.Worker worker = (offset, lengthBytes) -> {
            if (working.add(Thread.currentThread())) {
                meet(both);
            }
        };
        for (int round = 0; round < 3; round++) {
            workers.rouse();
            workers.rouse();
            working.clear();
            workers.run(List.of(worker, worker), LENGTH, Progress.NONE);
            assertThat(working).hasSize(2);
        }
        workers.rouse();
    }

    @Test
    void whatAnotherWorkerFailsWithIsNotLost() {
        IOException second = new IOException("the second");
        Workers.Worker other = (offset, lengthBytes) -> {
            awaitFailure();
            throw second;
        };
        assertThatThrownBy(() -> workers.run(List.of(other, failing()), LENGTH, Progress.NONE)).isSameAs(first)
                .satisfies(thrown -> assertThat(thrown.getSuppressed()).containsExactly(second));
    }

    /** All may wait for one thing, which failed. */
    @Test
    void workersMayFailWithOneException() {
        Workers.Worker other = (offset, lengthBytes) -> {
            awaitFailure();
            throw first;
        };
        assertThatThrownBy(() -> workers.run(List.of(other, failing()), LENGTH, Progress.NONE)).isSameAs(first)
                .hasNoSuppressedExceptions();
    }

    @Test
    void aWorkerThatIsAbandonedLearnsWhy() {
        CompletableFuture<Throwable> told = new CompletableFuture<>();
        Workers.Worker other = new Workers.Worker() {
            @Override
            public void chunk(long offset, long lengthBytes) {
                awaitFailure();
            }

            @Override
            public void finish() {
                throw new AssertionError("there is more to do");
            }

            @Override
            public void abandon(Throwable failure) {
                told.complete(failure);
            }
        };
        assertThatThrownBy(() -> workers.run(List.of(other, failing()), LENGTH, Progress.NONE)).isSameAs(first);
        assertThat(told).isCompletedWithValue(first);
    }

    /** What one worker does at the end may fail, too, and is waited for by the others. */
    @Test
    void aFailureAtTheEndIsOneAsWell() {
        Workers.Worker other = new Workers.Worker() {
            @Override
            public void chunk(long offset, long lengthBytes) {
                chunks++;
            }

            @Override
            public void finish() throws IOException {
                throw first;
            }
        };
        assertThatThrownBy(() -> workers.run(List.of(other), LENGTH, Progress.NONE)).isSameAs(first);
        assertThat(chunks).isEqualTo(4);
    }

    @Test
    void theSameThreadsWorkThroughOneRangeAfterAnother() throws IOException {
        Set<Thread> threads = ConcurrentHashMap.newKeySet();
        for (int time = 0; time < 3; time++) {
            CyclicBarrier both = new CyclicBarrier(2);
            Workers.Worker worker = (offset, lengthBytes) -> {
                threads.add(Thread.currentThread());
                meet(both);
            };
            workers.run(List.of(worker, worker), LENGTH, Progress.NONE);
        }
        assertThat(threads).hasSize(2).contains(Thread.currentThread());
    }

    @Test
    void anInterruptedCallerWaitsAllTheSameAndIsToldLater() throws IOException {
        CyclicBarrier both = new CyclicBarrier(2);
        AtomicBoolean returned = new AtomicBoolean();
        AtomicBoolean returnedEarly = new AtomicBoolean();
        Thread caller = Thread.currentThread();
        Workers.Worker slow = (offset, lengthBytes) -> {
            meet(both);
            awaitWaiting(caller, returned);
            caller.interrupt();
            awaitWaiting(caller, returned);
            returnedEarly.set(returned.get());
        };
        workers.run(List.of((offset, lengthBytes) -> meet(both), slow), 2 * Workers.CHUNK_BYTES, Progress.NONE);
        returned.set(true);
        assertThat(Thread.interrupted()).isTrue();
        workers.close();
        assertThat(returnedEarly).isFalse();
    }

    @Test
    void threadsAreThereBeforeThereIsWork() {
        try (Workers three = Workers.started(3)) {
            assertThat(three.most()).isEqualTo(3);
            assertThat(Thread.getAllStackTraces().keySet())
                    .filteredOn(thread -> thread.getName().startsWith("microsnap-"))
                    .as("two of these, and the one of the other").hasSize(3).allMatch(Thread::isDaemon);
        }
    }

    private static void awaitWaiting(Thread thread, AtomicBoolean orElse) {
        while (thread.getState() != Thread.State.WAITING && !orElse.get()) {
            Thread.onSpinWait();
        }
    }

    @Test
    void moreWorkersThanThereAreThreadsAreRefused() {
        Workers.Worker worker = (offset, lengthBytes) -> { };
        assertThatIllegalArgumentException().isThrownBy(
                () -> workers.run(List.of(worker, worker, worker), LENGTH, Progress.NONE));
        assertThatIllegalArgumentException().isThrownBy(() -> Workers.started(0));
    }

    private static void meet(CyclicBarrier both) {
        try {
            both.await();
        } catch (InterruptedException | BrokenBarrierException unexpected) {
            throw new AssertionError(unexpected);
        }
    }

    private Workers.Worker failing() {
        return (offset, lengthBytes) -> {
            otherHasBegun.join();
            failed.complete(Thread.currentThread());
            throw first;
        };
    }

    /** Until the worker that fails has ended, and with it told of its failure: its thread has nothing to do then. */
    private void awaitFailure() {
        otherHasBegun.complete(null);
        Thread thread = failed.join();
        while (thread.getState() != Thread.State.WAITING) {
            Thread.onSpinWait();
        }
    }
}
