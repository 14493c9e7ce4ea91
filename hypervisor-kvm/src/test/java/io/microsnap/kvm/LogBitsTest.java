package io.microsnap.kvm;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;

import io.microsnap.core.internal.posix.Errno;
import io.microsnap.core.internal.posix.Posix;
import io.microsnap.core.testing.FaultyPosix;
import io.microsnap.testsupport.Seed;
import java.io.IOException;
import java.lang.foreign.MemorySegment;
import java.lang.foreign.ValueLayout;
import java.util.BitSet;
import java.util.SplittableRandom;
import org.junit.jupiter.api.Test;

/** Bits put there as KVM puts them, by their address. */
class LogBitsTest {
    private static final int WORDS = 100;
    private static final int ROUNDS = 500;

    @Test
    void everyWordThatHasABitIsFoundFromWherever(Seed seed) throws IOException {
        SplittableRandom random = seed.random();
        for (int round = 0; round < ROUNDS; round++) {
            try (LogBits bits = new LogBits(Posix.host(), (long) WORDS * Long.SIZE, "the test")) {
                BitSet set = new BitSet();
                for (int word = 0; word < random.nextInt(WORDS); word++) {
                    int index = random.nextInt(WORDS);
                    set.set(index);
                    put(bits, index, 1L << random.nextInt(Long.SIZE));
                }
                int end = random.nextInt(WORDS + 1);
                for (int from = 0; from <= end; from++) {
                    int next = set.nextSetBit(from);
                    assertThat(bits.nextSet(from, end)).as("%s: from %s to %s of %s", seed, from, end, set)
                            .isEqualTo(next < 0 ? end : Math.min(next, end));
                }
            }
        }
    }

    @Test
    void itEndsWithTheWordOfTheLastPageAndThereAGuardBegins() throws IOException {
        long hostPage = Posix.host().getpagesize();
        for (int pages : new int[] {1, 63, 64, 65, 128}) {
            try (LogBits bits = new LogBits(Posix.host(), pages, "the test")) {
                assertThat(bits.words()).as("of %s", pages).isEqualTo(pages <= 64 ? 1 : 2);
                assertThat(bits.addressOf(bits.words()) % hostPage).as("of %s", pages).isZero();
            }
        }
    }

    @Test
    void itsMemoryIsGivenBackWhateverHappens() throws IOException {
        FaultyPosix calls = FaultyPosix.over(Posix.host());
        new LogBits(calls.posix(), 1000, "the test").close();
        assertThat(calls.mappedBytes()).isZero();
        calls.at("mprotect", calls.calls("mprotect") + 1).fails(Errno.ENOMEM);
        assertThatThrownBy(() -> new LogBits(calls.posix(), 1000, "the test")).isInstanceOf(IOException.class)
                .hasMessageContaining("the test").hasMessageContaining("mprotect").hasMessageContaining("ENOMEM");
        assertThat(calls.mappedBytes()).isZero();
        calls.at("mmap", calls.calls("mmap") + 1).fails(Errno.ENOMEM);
        assertThatThrownBy(() -> new LogBits(calls.posix(), 1000, "the test")).isInstanceOf(IOException.class)
                .hasMessageContaining("8192 bytes").hasMessageContaining("slot's bitmap");
    }

    @SuppressWarnings("restricted")
    private static void put(LogBits bits, int word, long value) {
        MemorySegment.ofAddress(bits.addressOf(word)).reinterpret(Long.BYTES).set(ValueLayout.JAVA_LONG, 0, value);
    }
}
