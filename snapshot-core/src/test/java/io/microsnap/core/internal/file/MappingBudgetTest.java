package io.microsnap.core.internal.file;

import static org.assertj.core.api.Assertions.assertThat;

import io.microsnap.core.internal.posix.Constants;
import io.microsnap.core.internal.posix.Posix;
import java.io.IOException;
import java.util.ArrayList;
import java.util.List;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.condition.EnabledOnOs;
import org.junit.jupiter.api.condition.OS;

class MappingBudgetTest {
    private static final long SECOND = 1_000_000_000L;

    private final Told told = new Told();
    private long now;
    private final MappingBudget budget = new MappingBudget(told, () -> now);

    @Test
    void aShareIsAnEighthOfWhatIsLeftAndTheJvmsReserveIsNeverGivenOut() {
        told.most = 8000;
        told.mappings = 600;
        try (MappingBudget.Share little = budget.take(10); MappingBudget.Share first = budget.take(100_000)) {
            assertThat(little.count()).isEqualTo(10);
            assertThat(first.count()).isEqualTo((7000 - 600 - 10) / 8);
            List<MappingBudget.Share> all = new ArrayList<>();
            long given = little.count() + first.count();
            while (all.isEmpty() || all.getLast().count() > 0) {
                all.add(budget.take(100_000));
                given += all.getLast().count();
            }
            assertThat(given).isBetween(6400L - 8, 6400L);
            all.forEach(MappingBudget.Share::close);
            assertThat(budget.take(100_000).count()).isEqualTo((7000 - 600 - 10 - first.count()) / 8);
        }
    }

    @Test
    void whatIsGivenBackIsLeftAgainAndOnlyOnce() {
        told.most = 8000;
        MappingBudget.Share share = budget.take(400);
        share.laid(100);
        assertThat(share.count()).isEqualTo(100);
        assertThat(budget.take(1).count()).isEqualTo(1);
        for (int repeated = 0; repeated < 2; repeated++) {
            share.leaving();
            share.close();
            assertThat(budget.take(100_000).count()).isEqualTo(repeated == 0 ? 6999 / 8 : (6999 - 874) / 8);
        }
    }

    @Test
    void theKernelCountsAtMostOnceASecondAndWhatRestoresLaidIsNotCountedTwice() {
        told.most = 8000;
        told.mappings = 100;
        MappingBudget.Share share = budget.take(500);
        told.mappings = 2000;
        now += SECOND - 1;
        assertThat(budget.take(0).count()).isZero();
        assertThat(budget.take(1).count()).isEqualTo(1);
        assertThat(told.asked).isEqualTo(1);
        share.laid(500);
        now += 1;
        assertThat(budget.take(100_000).count()).isEqualTo((7000 - 2000 - 1) / 8);
        assertThat(told.asked).isEqualTo(2);
        // While they are being unmapped nobody knows whether the kernel still counted them.
        share.leaving();
        now += SECOND;
        assertThat(budget.take(100_000).count()).isEqualTo((7000 - 2000 - 500 - 1 - 624) / 8);
    }

    @Test
    void whereNothingIsLeftOrTheKernelDoesNotTellNothingIsGiven() {
        told.most = 8000;
        told.mappings = 7993;
        assertThat(budget.take(100).count()).isZero();
        told.mappings = 100;
        now += SECOND;
        assertThat(budget.take(1).count()).isEqualTo(1);
        told.fails = true;
        now += SECOND;
        assertThat(budget.take(100).count()).isZero();
        told.fails = false;
        now += SECOND;
        assertThat(budget.take(100).count()).isEqualTo(100);
    }

    /** Others in this JVM map and unmap meanwhile, but not by thousands. */
    @Test
    @EnabledOnOs(OS.LINUX)
    void theProcesssOwnMappingsAreCounted() throws IOException {
        Posix posix = Posix.host();
        Constants constants = posix.constants();
        long page = posix.getpagesize();
        int pieces = 8000;
        MappingBudget.Kernel kernel = MappingBudget.ofProcess().kernel();
        assertThat(kernel.most()).isGreaterThan(1000);
        long before = kernel.mappings();
        long start = posix.mmap(0, pieces * page, constants.PROT_NONE,
                constants.MAP_PRIVATE | constants.MAP_ANONYMOUS | constants.MAP_NORESERVE, -1, 0);
        try {
            for (int piece = 0; piece < pieces; piece += 2) {
                assertThat(posix.mprotect(start + piece * page, page, constants.PROT_READ)).isZero();
            }
            assertThat(kernel.mappings() - before).isBetween(pieces - 500L, pieces + 500L);
        } finally {
            assertThat(posix.munmap(start, pieces * page)).isZero();
        }
    }

    private static final class Told implements MappingBudget.Kernel {
        private long mappings;
        private long most;
        private boolean fails;
        private int asked;

        @Override
        public long mappings() throws IOException {
            asked++;
            if (fails) {
                throw new IOException("not told");
            }
            return mappings;
        }

        @Override
        public long most() {
            return most;
        }
    }
}
