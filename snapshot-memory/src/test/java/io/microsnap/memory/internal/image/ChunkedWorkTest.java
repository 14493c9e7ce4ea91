package io.microsnap.memory.internal.image;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;

import io.microsnap.core.Progress;
import io.microsnap.core.internal.work.Workers;
import java.io.IOException;
import java.util.List;
import java.util.concurrent.CompletableFuture;
import org.junit.jupiter.api.AfterEach;
import org.junit.jupiter.api.Test;

final class ChunkedWorkTest {
    private static final long LENGTH = 4 * ChunkedWork.CHUNK_BYTES;

    private final IOException first = new IOException("the first");
    private final CompletableFuture<Void> otherHasBegun = new CompletableFuture<>();
    private final CompletableFuture<Thread> failed = new CompletableFuture<>();
    private final Workers workers = Workers.started("test", 1);
    private int chunks;

    @AfterEach
    void noThreadIsLeft() {
        workers.close();
        assertThat(Thread.getAllStackTraces().keySet()).noneMatch(thread -> thread.getName().startsWith("microsnap-"));
    }

    @Test
    void whereAWorkerHasFailedTheOthersTakeNoMore() {
        ChunkedWork.Worker other = (offset, lengthBytes) -> {
            chunks++;
            awaitFailure();
        };
        assertThatThrownBy(() -> run(List.of(other, failing()))).isSameAs(first);
        assertThat(chunks).isEqualTo(1);
    }

    @Test
    void whatAnotherWorkerFailsWithIsNotLost() {
        IOException second = new IOException("the second");
        ChunkedWork.Worker other = (offset, lengthBytes) -> {
            awaitFailure();
            throw second;
        };
        assertThatThrownBy(() -> run(List.of(other, failing()))).isSameAs(first)
                .satisfies(thrown -> assertThat(thrown.getSuppressed()).containsExactly(second));
    }

    /** All may wait for one thing, which failed. */
    @Test
    void workersMayFailWithOneException() {
        ChunkedWork.Worker other = (offset, lengthBytes) -> {
            awaitFailure();
            throw first;
        };
        assertThatThrownBy(() -> run(List.of(other, failing()))).isSameAs(first)
                .hasNoSuppressedExceptions();
    }

    @Test
    void aWorkerThatIsAbandonedLearnsWhy() {
        CompletableFuture<Throwable> told = new CompletableFuture<>();
        ChunkedWork.Worker other = new ChunkedWork.Worker() {
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
        assertThatThrownBy(() -> run(List.of(other, failing()))).isSameAs(first);
        assertThat(told).isCompletedWithValue(first);
    }

    /** What one worker does at the end may fail, too, and is waited for by the others. */
    @Test
    void aFailureAtTheEndIsOneAsWell() {
        ChunkedWork.Worker other = new ChunkedWork.Worker() {
            @Override
            public void chunk(long offset, long lengthBytes) {
                chunks++;
            }

            @Override
            public void finish() throws IOException {
                throw first;
            }
        };
        assertThatThrownBy(() -> run(List.of(other))).isSameAs(first);
        assertThat(chunks).isEqualTo(4);
    }

    private void run(List<ChunkedWork.Worker> each) throws IOException {
        ChunkedWork.run(workers, each, LENGTH, Progress.NONE);
    }

    private ChunkedWork.Worker failing() {
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
