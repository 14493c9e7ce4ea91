package io.microsnap.store.internal;

import static org.assertj.core.api.Assertions.assertThat;

import io.microsnap.core.GuestLayout;
import io.microsnap.core.internal.posix.Constants;
import io.microsnap.core.internal.posix.Descriptor;
import io.microsnap.core.internal.posix.Posix;
import io.microsnap.testsupport.Seed;
import java.io.IOException;
import java.lang.foreign.Arena;
import java.lang.foreign.MemorySegment;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.Collections;
import java.util.List;
import java.util.Random;
import java.util.stream.LongStream;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;

final class PageChecksTest {
    private static final int PAGE = 4096;
    private static final int PAGES = 1000;

    @Test
    void ofManyBadPagesTheFirstAreNamedInWhateverOrderTheyAreFound(@TempDir Path directory, Seed seed)
            throws IOException {
        GuestLayout layout = GuestLayout.ofSingleRegion(PAGE, (long) PAGES * PAGE);
        List<Long> bad = new ArrayList<>(LongStream.range(0, PAGES).filter(page -> page % 3 > 0).boxed().toList());
        List<Long> named = bad.stream().limit(100).map(page -> page * PAGE).toList();
        Collections.shuffle(bad, Random.from(seed.random()));
        Constants constants = Posix.host().constants();
        try (Descriptor file = Descriptor.open(
                        Posix.host(), directory.resolve("index"), constants.O_RDWR | constants.O_CREAT, 0600);
                PageIndex zeros = PageIndex.create(file, layout); Arena arena = Arena.ofConfined()) {
            MemorySegment ones = arena.allocate(PAGE).fill((byte) 1);
            PageChecks checks = new PageChecks(zeros);
            for (long page : bad) {
                checks.check(ones, 0, page * PAGE, PAGE);
            }
            checks.checkZero(0, layout.lengthBytes());
            assertThat(checks.badCount()).isEqualTo(bad.size());
            assertThat(checks.badOffsets()).isEqualTo(named);
        }
    }
}
