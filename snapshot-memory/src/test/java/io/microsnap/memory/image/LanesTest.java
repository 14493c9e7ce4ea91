package io.microsnap.memory.image;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;

import io.microsnap.core.Progress;
import java.io.IOException;
import java.util.List;
import java.util.concurrent.CompletableFuture;
import org.junit.jupiter.api.Test;

final class LanesTest {
    private static final long LENGTH = 4 * Lanes.CHUNK_BYTES;

    private final IOException first = new IOException("the first");
    private final CompletableFuture<Void> otherHasBegun = new CompletableFuture<>();
    private final CompletableFuture<Thread> failed = new CompletableFuture<>();
    private int chunks;

    @Test
    void whereALaneHasFailedTheOthersTakeNoMore() {
        Lanes.Lane other = (offset, lengthBytes) -> {
            chunks++;
            awaitFailure();
        };
        assertThatThrownBy(() -> Lanes.run(List.of(other, failing()), LENGTH, Progress.NONE)).isSameAs(first);
        assertThat(chunks).isEqualTo(1);
    }

    @Test
    void whatAnotherLaneFailsWithIsNotLost() {
        IOException second = new IOException("the second");
        Lanes.Lane other = (offset, lengthBytes) -> {
            awaitFailure();
            throw second;
        };
        assertThatThrownBy(() -> Lanes.run(List.of(other, failing()), LENGTH, Progress.NONE)).isSameAs(first)
                .satisfies(thrown -> assertThat(thrown.getSuppressed()).containsExactly(second));
    }

    /** All may wait for one thing, which failed. */
    @Test
    void lanesMayFailWithOneException() {
        Lanes.Lane other = (offset, lengthBytes) -> {
            awaitFailure();
            throw first;
        };
        assertThatThrownBy(() -> Lanes.run(List.of(other, failing()), LENGTH, Progress.NONE)).isSameAs(first)
                .hasNoSuppressedExceptions();
    }

    private Lanes.Lane failing() {
        return (offset, lengthBytes) -> {
            otherHasBegun.join();
            failed.complete(Thread.currentThread());
            throw first;
        };
    }

    /** Until the lane that fails has ended, and with it told of its failure. */
    private void awaitFailure() {
        otherHasBegun.complete(null);
        try {
            failed.join().join();
        } catch (InterruptedException unexpected) {
            throw new AssertionError(unexpected);
        }
    }
}
