package io.microsnap.memory.internal.image;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatIllegalArgumentException;
import static org.assertj.core.api.Assertions.assertThatThrownBy;

import io.microsnap.core.Progress;
import io.microsnap.core.internal.posix.Posix;
import io.microsnap.core.testing.FaultyPosix;
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

final class LanesTest {
    private static final long LENGTH = 4 * Lanes.CHUNK_BYTES;

    private final IOException first = new IOException("the first");
    private final CompletableFuture<Void> otherHasBegun = new CompletableFuture<>();
    private final CompletableFuture<Thread> failed = new CompletableFuture<>();
    private final Lanes lanes = Lanes.started(2);
    private int chunks;

    @AfterEach
    void noThreadIsLeft() {
        lanes.close();
        assertThat(Thread.getAllStackTraces().keySet()).noneMatch(thread -> thread.getName().startsWith("microsnap-"));
    }

    @Test
    void whereALaneHasFailedTheOthersTakeNoMore() {
        Lanes.Lane other = (offset, lengthBytes) -> {
            chunks++;
            awaitFailure();
        };
        assertThatThrownBy(() -> lanes.run(List.of(other, failing()), LENGTH, Progress.NONE)).isSameAs(first);
        assertThat(chunks).isEqualTo(1);
    }

    /** Those that are awake already are given work, or ended, as those that sleep. */
    @Test
    void theyMayBeRousedAndThenWorkAndBeRousedAgain() throws IOException {
        Set<Thread> working = ConcurrentHashMap.newKeySet();
        CyclicBarrier both = new CyclicBarrier(2);
        Lanes.Lane lane = (offset, lengthBytes) -> {
            if (working.add(Thread.currentThread())) {
                meet(both);
            }
        };
        for (int round = 0; round < 3; round++) {
            lanes.rouse(Posix.host());
            lanes.rouse(Posix.host());
            working.clear();
            lanes.run(List.of(lane, lane), LENGTH, Progress.NONE);
            assertThat(working).hasSize(2);
        }
        lanes.rouse(Posix.host());
    }

    @Test
    void whatAnotherLaneFailsWithIsNotLost() {
        IOException second = new IOException("the second");
        Lanes.Lane other = (offset, lengthBytes) -> {
            awaitFailure();
            throw second;
        };
        assertThatThrownBy(() -> lanes.run(List.of(other, failing()), LENGTH, Progress.NONE)).isSameAs(first)
                .satisfies(thrown -> assertThat(thrown.getSuppressed()).containsExactly(second));
    }

    /** All may wait for one thing, which failed. */
    @Test
    void lanesMayFailWithOneException() {
        Lanes.Lane other = (offset, lengthBytes) -> {
            awaitFailure();
            throw first;
        };
        assertThatThrownBy(() -> lanes.run(List.of(other, failing()), LENGTH, Progress.NONE)).isSameAs(first)
                .hasNoSuppressedExceptions();
    }

    @Test
    void whoeverAbandonsIsToldWhy() {
        CompletableFuture<Throwable> told = new CompletableFuture<>();
        Lanes.Lane other = new Lanes.Lane() {
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
        assertThatThrownBy(() -> lanes.run(List.of(other, failing()), LENGTH, Progress.NONE)).isSameAs(first);
        assertThat(told).isCompletedWithValue(first);
    }

    /** What one lane does at the end may fail, too, and is waited for by the others. */
    @Test
    void aFailureAtTheEndIsOneAsWell() {
        Lanes.Lane other = new Lanes.Lane() {
            @Override
            public void chunk(long offset, long lengthBytes) {
                chunks++;
            }

            @Override
            public void finish() throws IOException {
                throw first;
            }
        };
        assertThatThrownBy(() -> lanes.run(List.of(other), LENGTH, Progress.NONE)).isSameAs(first);
        assertThat(chunks).isEqualTo(4);
    }

    @Test
    void theSameThreadsWorkThroughOneRangeAfterAnother() throws IOException {
        Set<Thread> workers = ConcurrentHashMap.newKeySet();
        for (int time = 0; time < 3; time++) {
            CyclicBarrier both = new CyclicBarrier(2);
            Lanes.Lane lane = (offset, lengthBytes) -> {
                workers.add(Thread.currentThread());
                meet(both);
            };
            lanes.run(List.of(lane, lane), LENGTH, Progress.NONE);
        }
        assertThat(workers).hasSize(2).contains(Thread.currentThread());
    }

    @Test
    void anInterruptedCallerWaitsAllTheSameAndIsToldLater() throws IOException {
        CyclicBarrier both = new CyclicBarrier(2);
        AtomicBoolean returned = new AtomicBoolean();
        AtomicBoolean returnedEarly = new AtomicBoolean();
        Thread caller = Thread.currentThread();
        Lanes.Lane slow = (offset, lengthBytes) -> {
            meet(both);
            awaitWaiting(caller, returned);
            caller.interrupt();
            awaitWaiting(caller, returned);
            returnedEarly.set(returned.get());
        };
        lanes.run(List.of((offset, lengthBytes) -> meet(both), slow), 2 * Lanes.CHUNK_BYTES, Progress.NONE);
        returned.set(true);
        assertThat(Thread.interrupted()).isTrue();
        lanes.close();
        assertThat(returnedEarly).isFalse();
    }

    @Test
    void threadsAreThereBeforeThereIsWork() {
        try (Lanes three = Lanes.started(3)) {
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
    void whatIsAskedOfTheCallerIsOpenOnceAndUntilTheyAreClosed() {
        FaultyPosix watched = FaultyPosix.host();
        lanes.rouse(watched.posix());
        lanes.rouse(watched.posix());
        assertThat(lanes.stallOfThisThread(watched.posix())).isSameAs(lanes.stallOfThisThread(watched.posix()));
        assertThat(watched.openDescriptors()).hasSizeLessThanOrEqualTo(1);
        ThreadStall ofAnother = CompletableFuture.supplyAsync(() -> lanes.stallOfThisThread(watched.posix())).join();
        assertThat(lanes.stallOfThisThread(watched.posix())).as("a thread asks for itself").isNotSameAs(ofAnother);
        assertThat(watched.openDescriptors()).hasSizeLessThanOrEqualTo(1);
        lanes.close();
        assertThat(watched.openDescriptors()).isEmpty();
    }

    @Test
    void moreLanesThanThereAreThreadsAreRefused() {
        Lanes.Lane lane = (offset, lengthBytes) -> { };
        assertThatIllegalArgumentException().isThrownBy(
                () -> lanes.run(List.of(lane, lane, lane), LENGTH, Progress.NONE));
        assertThatIllegalArgumentException().isThrownBy(() -> Lanes.started(0));
    }

    private static void meet(CyclicBarrier both) {
        try {
            both.await();
        } catch (InterruptedException | BrokenBarrierException unexpected) {
            throw new AssertionError(unexpected);
        }
    }

    private Lanes.Lane failing() {
        return (offset, lengthBytes) -> {
            otherHasBegun.join();
            failed.complete(Thread.currentThread());
            throw first;
        };
    }

    /** Until the lane that fails has ended, and with it told of its failure: its thread has nothing to do then. */
    private void awaitFailure() {
        otherHasBegun.complete(null);
        Thread thread = failed.join();
        while (thread.getState() != Thread.State.WAITING) {
            Thread.onSpinWait();
        }
    }
}
