package io.microsnap.core.internal.work;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatIllegalArgumentException;
import static org.assertj.core.api.Assertions.assertThatThrownBy;

import java.io.IOException;
import java.util.AbstractList;
import java.util.Collections;
import java.util.List;
import java.util.Set;
import java.util.concurrent.BrokenBarrierException;
import java.util.concurrent.CompletableFuture;
import java.util.concurrent.ConcurrentHashMap;
import java.util.concurrent.CountDownLatch;
import java.util.concurrent.CyclicBarrier;
import java.util.concurrent.atomic.AtomicBoolean;
import java.util.concurrent.atomic.AtomicInteger;
import java.util.concurrent.locks.LockSupport;
import org.junit.jupiter.api.AfterEach;
import org.junit.jupiter.api.Test;

final class WorkersTest {
    private final IOException first = new IOException("the first");
    private final CompletableFuture<Thread> failed = new CompletableFuture<>();
    private final Workers workers = Workers.started("test", 1);

    @AfterEach
    void noThreadIsLeft() {
        workers.close();
        assertThat(threads()).isEmpty();
    }

    @Test
    void othersSeeThatATaskHasFailedAndStop() {
        for (int count = 0; count <= 3; count++) {
            AtomicInteger started = new AtomicInteger();
            try (Workers some = Workers.started("test", count)) {
                assertThatThrownBy(() -> some.run(Collections.nCopies(some.count() + 1, () -> {
                    if (started.incrementAndGet() == 1) {
                        throw first;
                    }
                    while (!some.failed()) {
                        Thread.onSpinWait();
                    }
                }))).isSameAs(first);
                assertThat(some.failure()).containsSame(first);
            }
        }
    }

    @Test
    void whereNotAllTasksCanBeHandedOverThoseUnderWayEndFirst() {
        OutOfMemoryError full = new OutOfMemoryError("planted");
        AtomicBoolean ended = new AtomicBoolean();
        try (Workers two = Workers.started("test", 2)) {
            List<Workers.Task> tasks = new AbstractList<>() {
                @Override
                public Workers.Task get(int index) {
                    if (index == 2) {
                        throw full;
                    }
                    return () -> {
                        while (!two.failed() && !Thread.currentThread().isInterrupted()) {
                            Thread.onSpinWait();
                        }
                        ended.set(two.failed());
                    };
                }

                @Override
                public int size() {
                    return 3;
                }
            };
            assertThatThrownBy(() -> two.run(tasks)).isSameAs(full);
            assertThat(ended).as("the task under way ended before the call").isTrue();
        }
    }

    @Test
    void aThreadThatSleepsIsWokenWhenTheCallersTaskFailsIfThatWasAsked() {
        CountDownLatch sleeping = new CountDownLatch(3);
        try (Workers three = Workers.started("test", 3)) {
            Workers.Task sleeper = () -> {
                sleeping.countDown();
                while (!Thread.currentThread().isInterrupted()) {
                    LockSupport.park();
                }
            };
            assertThatThrownBy(() -> three.runInterruptibly(List.of(() -> {
                Uninterrupted.await(sleeping::await);
                throw first;
            }, sleeper, sleeper, sleeper))).isSameAs(first);
        }
        assertThat(Thread.currentThread().isInterrupted()).isFalse();
    }

    /** The interruption finds the one thread at other work, and would be lost on the task that comes after it. */
    @Test
    void aTaskThatHasNotBegunWhenAnotherFailsNeverDoesIfThatWasAsked() {
        Thread caller = Thread.currentThread();
        AtomicBoolean returned = new AtomicBoolean();
        AtomicBoolean begun = new AtomicBoolean();
        workers.submit(() -> {
            while (!workers.failed()) {
                Thread.onSpinWait();
            }
            awaitWaiting(caller, returned);
        }, () -> { });
        assertThatThrownBy(() -> workers.runInterruptibly(List.of(() -> {
            throw first;
        }, () -> begun.set(true)))).isSameAs(first);
        returned.set(true);
        assertThat(begun).isFalse();
    }

    /** It may be reading through a channel of the user's, which an interruption would close. */
    @Test
    void otherwiseAFailureInterruptsNoThread() {
        Thread caller = Thread.currentThread();
        AtomicBoolean returned = new AtomicBoolean();
        AtomicBoolean interrupted = new AtomicBoolean();
        AtomicBoolean begun = new AtomicBoolean();
        assertThatThrownBy(() -> workers.run(List.of(() -> {
            spinUntil(begun);
            throw first;
        }, () -> {
            begun.set(true);
            awaitWaiting(caller, returned);
            interrupted.set(Thread.currentThread().isInterrupted());
        }))).isSameAs(first);
        returned.set(true);
        assertThat(interrupted).isFalse();
    }

    @Test
    void whatAnotherTaskFailsWithIsNotLost() {
        IOException second = new IOException("the second");
        assertThatThrownBy(() -> workers.run(List.of(() -> {
            awaitFailure();
            throw second;
        }, failing()))).isSameAs(first)
                .satisfies(thrown -> assertThat(thrown.getSuppressed()).containsExactly(second));
    }

    /** All may wait for one thing, which failed. */
    @Test
    void tasksMayFailWithOneException() {
        assertThatThrownBy(() -> workers.run(List.of(() -> {
            awaitFailure();
            throw first;
        }, failing()))).isSameAs(first).hasNoSuppressedExceptions();
    }

    @Test
    void afterAFailureTheyWorkAgain() throws IOException {
        assertThatThrownBy(() -> workers.run(List.of(() -> { }, failing()))).isSameAs(first);
        AtomicInteger done = new AtomicInteger();
        workers.run(List.of(done::incrementAndGet, () -> {
            assertThat(workers.failed()).isFalse();
            assertThat(Thread.currentThread().isInterrupted()).isFalse();
            done.incrementAndGet();
        }));
        assertThat(done).hasValue(2);
    }

    @Test
    void theSameThreadsRunOneJobAfterAnother() throws IOException {
        Set<Thread> threads = ConcurrentHashMap.newKeySet();
        for (int time = 0; time < 3; time++) {
            CyclicBarrier both = new CyclicBarrier(2);
            workers.run(Collections.nCopies(2, () -> {
                threads.add(Thread.currentThread());
                meet(both);
            }));
        }
        assertThat(threads).hasSize(2).contains(Thread.currentThread());
    }

    @Test
    void theCallerWaitsForEveryTask() throws IOException {
        Thread caller = Thread.currentThread();
        AtomicBoolean begun = new AtomicBoolean();
        AtomicBoolean atEnd = new AtomicBoolean();
        AtomicBoolean returned = new AtomicBoolean();
        AtomicBoolean returnedEarly = new AtomicBoolean();
        workers.run(List.of(() -> {
            spinUntil(begun);
            atEnd.set(true);
        }, () -> {
            begun.set(true);
            spinUntil(atEnd);
            awaitWaiting(caller, returned);
            returnedEarly.set(returned.get());
        }));
        returned.set(true);
        workers.close();
        assertThat(returnedEarly).isFalse();
    }

    @Test
    void anInterruptedCallerWaitsAllTheSameAndIsInterruptedAfterwards() throws IOException {
        CyclicBarrier both = new CyclicBarrier(2);
        AtomicBoolean returned = new AtomicBoolean();
        AtomicBoolean returnedEarly = new AtomicBoolean();
        Thread caller = Thread.currentThread();
        workers.run(List.of(() -> meet(both), () -> {
            meet(both);
            awaitWaiting(caller, returned);
            caller.interrupt();
            awaitInterruptionSeen(caller, returned);
            awaitWaiting(caller, returned);
            returnedEarly.set(returned.get());
        }));
        returned.set(true);
        assertThat(Thread.interrupted()).isTrue();
        workers.close();
        assertThat(returnedEarly).isFalse();
    }

    /** Those that are awake already get work, or are ended, as those that sleep. */
    @Test
    void theyMayBeRousedAndThenWorkAndBeRousedAgain() throws IOException {
        Set<Thread> working = ConcurrentHashMap.newKeySet();
        CyclicBarrier both = new CyclicBarrier(2);
        for (int round = 0; round < 3; round++) {
            workers.rouse();
            workers.rouse();
            working.clear();
            workers.run(Collections.nCopies(2, () -> {
                working.add(Thread.currentThread());
                meet(both);
            }));
            assertThat(working).hasSize(2);
        }
        workers.rouse();
    }

    @Test
    void threadsAreThereBeforeThereIsWork() {
        try (Workers two = Workers.started("test", 2)) {
            assertThat(two.count()).isEqualTo(2);
            assertThat(threads()).as("two of these, and the one of the other").hasSize(3).allMatch(Thread::isDaemon);
        }
    }

    @Test
    void moreTasksThanThereAreThreadsAreRefused() {
        assertThatIllegalArgumentException().isThrownBy(() -> workers.run(Collections.nCopies(3, () -> { })));
        assertThatIllegalArgumentException().isThrownBy(() -> Workers.started("test", -1));
    }

    @Test
    void aFailureBesideTheCallerShowsOnceTheTaskHasEnded() throws IOException {
        CountDownLatch ended = new CountDownLatch(2);
        IOException second = new IOException("the second");
        workers.check();
        workers.submit(() -> {
            throw first;
        }, ended::countDown);
        workers.submit(() -> {
            throw second;
        }, ended::countDown);
        Uninterrupted.await(ended::await);
        assertThatThrownBy(workers::check).isSameAs(first)
                .satisfies(thrown -> assertThat(thrown.getSuppressed()).containsExactly(second));
    }

    @Test
    void closingInterruptsWhatIsUnderWayAndWaitsForItsEnd() throws IOException {
        CountDownLatch underWay = new CountDownLatch(1);
        AtomicBoolean ended = new AtomicBoolean();
        workers.submit(() -> {
            underWay.countDown();
            while (!Thread.currentThread().isInterrupted()) {
                LockSupport.park();
            }
            ended.set(true);
        }, () -> { });
        workers.submit(() -> {
            throw new AssertionError("what waits is dropped");
        }, () -> { });
        Uninterrupted.await(underWay::await);
        workers.close();
        assertThat(ended).isTrue();
        workers.check();
    }

    @Test
    void anInterruptedThreadClosesThemAllTheSameAndIsInterruptedAfterwards() {
        AtomicBoolean underWay = new AtomicBoolean();
        AtomicBoolean interrupted = new AtomicBoolean();
        AtomicBoolean closed = new AtomicBoolean();
        AtomicBoolean waitedFor = new AtomicBoolean();
        Thread closer = Thread.currentThread();
        workers.submit(() -> {
            underWay.set(true);
            spinUntil(interrupted);
            awaitInterruptionSeen(closer, closed);
            awaitWaiting(closer, closed);
            waitedFor.set(!closed.get());
        }, () -> { });
        spinUntil(underWay);
        closer.interrupt();
        interrupted.set(true);
        workers.close();
        closed.set(true);
        assertThat(Thread.interrupted()).isTrue();
        assertThat(waitedFor).isTrue();
    }

    private static List<Thread> threads() {
        return Thread.getAllStackTraces().keySet().stream()
                .filter(thread -> thread.getName().startsWith("microsnap-")).toList();
    }

    private static void spinUntil(AtomicBoolean condition) {
        while (!condition.get()) {
            Thread.onSpinWait();
        }
    }

    /** Right after an interruption a thread still looks as if it waited. */
    private static void awaitInterruptionSeen(Thread thread, AtomicBoolean orElse) {
        while (thread.isInterrupted() && !orElse.get()) {
            Thread.onSpinWait();
        }
    }

    private static void awaitWaiting(Thread thread, AtomicBoolean orElse) {
        while (thread.getState() != Thread.State.WAITING && !orElse.get()) {
            Thread.onSpinWait();
        }
    }

    private static void meet(CyclicBarrier both) {
        try {
            both.await();
        } catch (InterruptedException | BrokenBarrierException unexpected) {
            throw new AssertionError(unexpected);
        }
    }

    private Workers.Task failing() {
        return () -> {
            failed.complete(Thread.currentThread());
            throw first;
        };
    }

    /** Until the task that fails has ended, and its failure shows. */
    private void awaitFailure() {
        failed.join();
        while (!workers.failed()) {
            Thread.onSpinWait();
        }
    }
}
