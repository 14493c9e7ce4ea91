package io.microsnap.memory.internal.image;

import static org.assertj.core.api.Assertions.assertThat;

import io.microsnap.core.GuestLayout;
import io.microsnap.memory.InMemoryPageReader;
import io.microsnap.memory.SparseReader;
import io.microsnap.testsupport.Seed;
import java.io.IOException;
import java.util.BitSet;
import java.util.SplittableRandom;
import org.junit.jupiter.api.Test;

final class PopulatedRunsTest {
    private static final int PAGE = 4096;

    @Test
    void thePartsOfTheRunsAreTheRunsAndEachIsWhatTheReaderSays(Seed seed) throws IOException {
        SplittableRandom random = seed.random();
        for (int round = 0; round < 300; round++) {
            int pages = random.nextInt(1, 3000);
            BitSet populated = randomRuns(random, pages);
            BitSet asked = randomRuns(random, pages);
            GuestLayout layout = GuestLayout.ofSingleRegion(PAGE, (long) pages * PAGE);
            BitSet toldPopulated = new BitSet();
            BitSet toldEmpty = new BitSet();
            long[] last = {0};
            PopulatedRuns runs = new PopulatedRuns(
                    new SparseReader(InMemoryPageReader.of(layout), populated, true), new PopulatedRuns.Parts() {
                        @Override
                        public void populated(long offset, long lengthBytes) {
                            tell(toldPopulated, offset, lengthBytes);
                        }

                        @Override
                        public void empty(long offset, long lengthBytes) {
                            tell(toldEmpty, offset, lengthBytes);
                        }

                        private void tell(BitSet told, long offset, long lengthBytes) {
                            assertThat(offset).isGreaterThanOrEqualTo(last[0]);
                            assertThat(lengthBytes).isPositive();
                            last[0] = offset + lengthBytes;
                            told.set((int) (offset / PAGE), (int) ((offset + lengthBytes) / PAGE));
                        }
                    });

            for (int page = asked.nextSetBit(0); page >= 0; page = asked.nextSetBit(asked.nextClearBit(page))) {
                runs.run((long) page * PAGE, (long) (asked.nextClearBit(page) - page) * PAGE);
            }
            runs.flush();

            assertThat(toldPopulated).isEqualTo(and(asked, populated));
            BitSet unpopulated = (BitSet) populated.clone();
            unpopulated.flip(0, pages);
            assertThat(toldEmpty).isEqualTo(and(asked, unpopulated));
        }
    }

    @Test
    void aPageOfWhichOnlyAPartIsPopulatedIsPopulated() throws IOException {
        GuestLayout layout = GuestLayout.ofSingleRegion(16 << 10, 64 << 10);
        BitSet smallPages = new BitSet();
        smallPages.set(5);
        InMemoryPageReader guest = InMemoryPageReader.of(layout);
        SparseReader ofSmallPages = new SparseReader(
                InMemoryPageReader.of(GuestLayout.ofSingleRegion(PAGE, 64 << 10)), smallPages, true);
        StringBuilder told = new StringBuilder();
        PopulatedRuns runs = new PopulatedRuns(new io.microsnap.core.PageReader() {
            @Override
            public GuestLayout layout() {
                return layout;
            }

            @Override
            public void read(long imageOffset, java.lang.foreign.MemorySegment destination) {
                guest.read(imageOffset, destination);
            }

            @Override
            public void populated(long imageOffset, long lengthBytes, io.microsnap.core.RangeConsumer ranges)
                    throws IOException {
                ofSmallPages.populated(imageOffset, lengthBytes, ranges);
            }
        }, new PopulatedRuns.Parts() {
            @Override
            public void populated(long offset, long lengthBytes) {
                told.append("populated ").append(offset).append('+').append(lengthBytes).append(' ');
            }

            @Override
            public void empty(long offset, long lengthBytes) {
                told.append("empty ").append(offset).append('+').append(lengthBytes).append(' ');
            }
        });

        runs.run(0, 64 << 10);
        runs.flush();

        assertThat(told).hasToString("empty 0+16384 populated 16384+16384 empty 32768+32768 ");
    }

    private static BitSet and(BitSet left, BitSet right) {
        BitSet both = (BitSet) left.clone();
        both.and(right);
        return both;
    }

    private static BitSet randomRuns(SplittableRandom random, int pages) {
        BitSet set = new BitSet();
        int longest = 1 << random.nextInt(1, 9);
        for (int page = random.nextInt(longest); page < pages; page += random.nextInt(1, 2 * longest)) {
            int end = Math.min(pages, page + random.nextInt(1, longest + 1));
            set.set(page, end);
            page = end;
        }
        return set;
    }
}
