package io.microsnap.dedup;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;

import io.microsnap.core.internal.work.Workers;
import io.microsnap.dedup.internal.Steps;
import java.io.IOException;
import java.io.UncheckedIOException;
import java.util.ArrayList;
import java.util.Collections;
import java.util.List;
import java.util.concurrent.atomic.AtomicInteger;
import org.junit.jupiter.api.Test;

class SmallPartsTest {
    @Test
    void thePacerLetsThroughWhatIsAllowedAndNoMore() {
        long[] now = {0};
        List<Long> pauses = new ArrayList<>();
        Pacer pacer = new Pacer(1000, () -> now[0], nanos -> {
            pauses.add(nanos);
            now[0] += nanos;
        });
        for (int piece = 0; piece < 10; piece++) {
            pacer.await(500);
        }
        assertThat(now[0]).as("nine pieces of half a second each came before the last").isBetween(
                4_300_000_000L, 4_500_000_000L);
        assertThat(pauses).isNotEmpty();
        now[0] += 60_000_000_000L;
        long before = now[0];
        pacer.await(1000);
        pacer.await(1000);
        assertThat(now[0] - before).as("a long pause buys no burst").isGreaterThan(800_000_000L);
    }

    @Test
    void anInterruptedPacerLetsItsThreadGoOn() {
        Pacer pacer = new Pacer(1, () -> 0, nanos -> Thread.currentThread().interrupt());
        pacer.await(1_000_000);
        pacer.await(1_000_000);
        assertThat(Thread.interrupted()).isTrue();
    }

    @Test
    void aThreadThatWaitsForItsTurnIsWokenWhenAnotherFails() {
        AtomicInteger waiting = new AtomicInteger();
        Pacer slow = new Pacer(1);
        Thread caller = Thread.currentThread();
        try (Workers workers = Workers.started("test", 3)) {
            assertThatThrownBy(() -> workers.runInterruptibly(Collections.nCopies(4, () -> {
                if (Thread.currentThread() == caller) {
                    while (waiting.get() < 3) {
                        Thread.onSpinWait();
                    }
                    throw new IOException("first");
                }
                waiting.incrementAndGet();
                slow.await(Integer.MAX_VALUE);
                slow.await(Integer.MAX_VALUE);
            }))).isInstanceOf(IOException.class).hasMessage("first");
        }
        assertThat(Thread.currentThread().isInterrupted()).isFalse();
    }

    @Test
    void progressIsToldByTheThreadThatAskedForIt() throws Exception {
        List<Long> told = new ArrayList<>();
        Steps steps = new Steps((done, total) -> told.add(done), 100);
        Thread helper = Thread.ofPlatform().start(() -> {
            try {
                steps.did(3);
            } catch (IOException never) {
                throw new UncheckedIOException(never);
            }
        });
        helper.join();
        assertThat(told).isEmpty();
        steps.did(4);
        assertThat(told).containsExactly(7L);
    }
}
