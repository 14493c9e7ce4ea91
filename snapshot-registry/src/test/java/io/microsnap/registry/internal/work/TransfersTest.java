package io.microsnap.registry.internal.work;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;

import io.microsnap.core.SnapshotException;
import io.microsnap.core.internal.work.Uninterrupted;
import java.io.IOException;
import java.util.concurrent.CountDownLatch;
import java.util.concurrent.atomic.AtomicBoolean;
import java.util.concurrent.atomic.AtomicInteger;
import org.junit.jupiter.api.Test;

final class TransfersTest {
    private final IOException first = new IOException("the first");
    private final AtomicInteger done = new AtomicInteger();

    @Test
    void finishReturnsWhenAllWorkIsDone() throws IOException {
        try (Transfers transfers = new Transfers("test", 2, 3, () -> { })) {
            for (int piece = 0; piece < 20; piece++) {
                transfers.submit(done::incrementAndGet);
            }
            transfers.finish();
            assertThat(done).hasValue(20);
            transfers.finish();
        }
    }

    /** The one thread fails with the piece of work that is under way, while two more wait for it. */
    @Test
    void afterAFailureNothingIsBegunAndEveryCallThrowsIt() throws IOException {
        CountDownLatch submitted = new CountDownLatch(1);
        try (Transfers transfers = new Transfers("test", 1, 3, () -> { })) {
            transfers.submit(() -> {
                Uninterrupted.await(submitted::await);
                throw first;
            });
            transfers.submit(done::incrementAndGet);
            transfers.submit(done::incrementAndGet);
            transfers.check();
            submitted.countDown();
            assertThatThrownBy(transfers::finish).isSameAs(first);
            assertThatThrownBy(() -> transfers.submit(done::incrementAndGet)).isSameAs(first);
            assertThatThrownBy(transfers::check).isSameAs(first);
        }
        assertThat(done).hasValue(0);
    }

    @Test
    void noMoreIsUnderWayThanAllowedAndTheCallerTicksWhileItWaits() throws IOException {
        CountDownLatch ticked = new CountDownLatch(5);
        AtomicBoolean third = new AtomicBoolean();
        try (Transfers transfers = new Transfers("test", 1, 2, ticked::countDown)) {
            transfers.submit(() -> {
                Uninterrupted.await(ticked::await);
                assertThat(third).as("the third is handed over before there is room").isFalse();
            });
            transfers.submit(() -> { });
            transfers.submit(() -> { });
            third.set(true);
            transfers.finish();
        }
        assertThat(ticked.getCount()).isZero();
    }

    @Test
    void aTickEndsAWaitByThrowing() throws IOException {
        CountDownLatch closing = new CountDownLatch(1);
        AtomicBoolean waiting = new AtomicBoolean();
        try (Transfers transfers = new Transfers("test", 1, 1, () -> {
            if (waiting.get()) {
                closing.countDown();
                throw first;
            }
        })) {
            transfers.submit(() -> Uninterrupted.await(closing::await));
            waiting.set(true);
            assertThatThrownBy(transfers::finish).isSameAs(first);
        }
    }

    @Test
    void anInterruptedCallerStopsWaitingAndIsStillInterrupted() throws IOException {
        CountDownLatch stopped = new CountDownLatch(1);
        try (Transfers transfers = new Transfers("test", 1, 1, () -> { })) {
            transfers.submit(() -> Uninterrupted.await(stopped::await));
            Thread.currentThread().interrupt();
            assertThatThrownBy(transfers::finish).isInstanceOf(SnapshotException.class).hasMessage("interrupted");
            assertThat(Thread.interrupted()).isTrue();
            stopped.countDown();
        }
    }
}
