package io.microsnap.dirty;

import static org.assertj.core.api.Assertions.assertThat;

import io.microsnap.core.GuestLayout;
import io.microsnap.testsupport.Effort;
import java.util.ArrayList;
import java.util.List;
import java.util.concurrent.CyclicBarrier;
import java.util.concurrent.ExecutorService;
import java.util.concurrent.Executors;
import java.util.concurrent.Future;
import java.util.concurrent.atomic.AtomicBoolean;
import java.util.concurrent.atomic.AtomicLong;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.Timeout;

/**
 * Threads that meet in one word lose no bit of it. They meet millions of times, so that an update which is not atomic
 * is found however busy the machine is. jcstress looks for what only weaker processors do, in the benchmarks.
 */
@Timeout(120)
class DirtyBitmapAtomicityTest {
    private static final int PAGE = 4096;
    private static final int WORDS = 1 << 12;
    private static final int ROUNDS = Effort.choose(20, 30, 2000);
    private static final int MEETINGS = Effort.choose(2_000_000, 5_000_000, 100_000_000);
    private static final GuestLayout LAYOUT = GuestLayout.ofSingleRegion(PAGE, (long) WORDS * 64 * PAGE);

    private final DirtyBitmap bitmap = DirtyBitmap.of(LAYOUT);

    @Test
    void twoThreadsThatSetAndCleanBitsOfOneWordFindTheirOwnEachTime() throws Exception {
        AtomicLong lost = new AtomicLong();
        together(() -> lost.addAndGet(lostWhileSettingAndCleaning(3)),
                () -> lost.addAndGet(lostWhileSettingAndCleaning(44)));
        assertThat(lost).hasValue(0);
        assertThat(bitmap.isEmpty()).isTrue();
    }

    private long lostWhileSettingAndCleaning(long page) {
        long lost = 0;
        for (int meeting = 0; meeting < MEETINGS; meeting++) {
            lost += bitmap.set(page * PAGE) ? 0 : 1;
            lost += bitmap.test(page * PAGE) ? 0 : 1;
            bitmap.clear(page * PAGE, PAGE);
            lost += bitmap.test(page * PAGE) ? 1 : 0;
        }
        return lost;
    }

    @Test
    void aThreadThatMarksRangesAndOneThatAddsALogLoseNone() throws Exception {
        for (int round = 0; round < ROUNDS; round++) {
            together(() -> {
                for (long word = 0; word < WORDS; word++) {
                    for (int part = 0; part < 32; part += 2) {
                        bitmap.mark((word * 64 + part) * PAGE, 2 * PAGE);
                    }
                }
            }, () -> {
                for (long word = 0; word < WORDS; word++) {
                    for (int part = 32; part < 64; part++) {
                        bitmap.markPages(word * 64 * PAGE, 1L << part);
                    }
                }
            });
            assertThat(bitmap.count()).as("round %d", round).isEqualTo(bitmap.blockCount());
            bitmap.clear();
        }
    }

    @Test
    void whatTwoThreadsSetWhileAThirdDrainsIsDrainedOrStillThereEachTime() throws Exception {
        DirtyBitmap drained = DirtyBitmap.of(LAYOUT);
        AtomicLong set = new AtomicLong();
        AtomicLong found = new AtomicLong();
        for (int round = 0; round < ROUNDS; round++) {
            AtomicBoolean setting = new AtomicBoolean(true);
            together(() -> {
                set.addAndGet(setHalf(0) + setHalf(1));
                setting.set(false);
            }, () -> {
                while (setting.get()) {
                    bitmap.drainInto(drained);
                    found.addAndGet(drained.count());
                    drained.clear();
                }
            });
            bitmap.drainInto(drained);
            found.addAndGet(drained.count());
            drained.clear();
            assertThat(found.get()).as("round %d: each bit that was clean when it was set", round)
                    .isEqualTo(set.get());
        }
    }

    /** Sets one half of the bits of every word, one by one; returns how many were clean. */
    private long setHalf(int half) {
        long clean = 0;
        for (long word = 0; word < WORDS; word++) {
            for (int bit = 32 * half; bit < 32 * half + 32; bit++) {
                clean += bitmap.set((word * 64 + bit) * PAGE) ? 1 : 0;
            }
        }
        return clean;
    }

    private static void together(Runnable... actions) throws Exception {
        CyclicBarrier start = new CyclicBarrier(actions.length);
        try (ExecutorService threads = Executors.newFixedThreadPool(actions.length)) {
            List<Future<?>> running = new ArrayList<>();
            for (Runnable action : actions) {
                running.add(threads.submit(() -> {
                    start.await();
                    action.run();
                    return null;
                }));
            }
            for (Future<?> future : running) {
                future.get();
            }
        }
    }
}
