package io.microsnap.dirty;

import static io.microsnap.dirty.BitmapModel.runsOf;
import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatIllegalArgumentException;
import static org.assertj.core.api.Assertions.assertThatThrownBy;

import io.microsnap.core.GuestLayout;
import io.microsnap.core.Region;
import io.microsnap.core.internal.file.PopulatedRanges;
import io.microsnap.core.internal.posix.Posix;
import io.microsnap.dirty.BitmapModel.Run;
import io.microsnap.testsupport.Effort;
import io.microsnap.testsupport.Seed;
import java.io.IOException;
import java.lang.foreign.MemorySegment;
import java.util.ArrayList;
import java.util.BitSet;
import java.util.List;
import java.util.SplittableRandom;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.condition.EnabledOnOs;
import org.junit.jupiter.api.condition.OS;

class DirtyBitmapTest {
    private static final int PAGE = 4096;
    private static final long MIB = 1 << 20;
    private static final long TIB = 1L << 40;

    @Test
    void aNewBitmapIsClean() throws IOException {
        DirtyBitmap bitmap = DirtyBitmap.of(pages(1000));
        assertThat(bitmap.isEmpty()).isTrue();
        assertThat(bitmap.count()).isZero();
        assertThat(runsOf(bitmap, 0)).isEmpty();
    }

    @Test
    void settingTellsWhetherThePageWasClean() {
        DirtyBitmap bitmap = DirtyBitmap.of(pages(100));
        assertThat(bitmap.set(64 * PAGE + 17)).isTrue();
        assertThat(bitmap.set(64 * PAGE)).isFalse();
        assertThat(bitmap.test(65 * PAGE - 1)).isTrue();
        assertThat(bitmap.test(65 * PAGE)).isFalse();
        assertThat(bitmap.test(64 * PAGE - 1)).isFalse();
    }

    @Test
    void runsAreClippedToTheImage() {
        GuestLayout imported = GuestLayout.ofImportedImage(PAGE, List.of(new Region(0, 2 * MIB + 100)));
        DirtyBitmap bitmap = DirtyBitmap.of(imported, 2 * MIB);
        bitmap.set(2 * MIB + 99);
        assertThat(runsOf(bitmap, 0)).containsExactly(new Run(2 * MIB, 100));
    }

    @Test
    void smallGapsAreBridgedAndLargerOnesAreNot() {
        DirtyBitmap bitmap = DirtyBitmap.of(pages(200));
        List.of(60, 63, 66, 130).forEach(page -> bitmap.set((long) page * PAGE));
        assertThat(runsOf(bitmap, 2 * PAGE))
                .containsExactly(new Run(60 * PAGE, 7 * PAGE), new Run(130 * PAGE, PAGE));
        assertThat(runsOf(bitmap, 2 * PAGE - 1)).hasSize(4);
        assertThat(runsOf(bitmap, Long.MAX_VALUE)).containsExactly(new Run(60 * PAGE, 71 * PAGE));
    }

    @Test
    void everyRangeOfEverySmallLayoutAgreesWithTheModel() {
        for (int count = 1; count <= 130; count++) {
            GuestLayout layout = pages(count);
            for (int from = 0; from < count; from++) {
                for (int to = from; to <= count; to++) {
                    DirtyBitmap bitmap = DirtyBitmap.of(layout);
                    bitmap.mark((long) from * PAGE, (long) (to - from) * PAGE);
                    long bytes = (long) (to - from) * PAGE;
                    assertThat(runsOf(bitmap, 0))
                            .isEqualTo(bytes == 0 ? List.of() : List.of(new Run((long) from * PAGE, bytes)));
                    assertThat(bitmap.count()).isEqualTo(to - from);
                    bitmap.clear((long) from * PAGE, bytes);
                    assertThat(bitmap.isEmpty()).isTrue();
                }
            }
        }
    }

    @Test
    void aMillionRandomOperationsAgreeWithTheModel(Seed seed) {
        SplittableRandom random = seed.random();
        int perLayout = 500;
        for (int done = 0; done < Effort.choose(100_000, 1_000_000, 10_000_000); done += perLayout) {
            new RandomOperations(random).run(perLayout, seed);
        }
    }

    @Test
    void aWordOfALogLandsOnAnyPageOfAnyWord() {
        GuestLayout layout = pages(200);
        for (int first = 0; first < 180; first++) {
            DirtyBitmap bitmap = DirtyBitmap.of(layout);
            bitmap.markPages((long) first * PAGE, (1L << 19) - 1);
            assertThat(runsOf(bitmap, 0)).containsExactly(new Run((long) first * PAGE, 19 * PAGE));
        }
    }

    @Test
    void sixtyFourTebibytesFit() {
        DirtyBitmap bitmap = DirtyBitmap.of(GuestLayout.ofSingleRegion(PAGE, 64 * TIB));
        long seam = (1L << 33) * PAGE;
        bitmap.mark(seam - PAGE, 2 * PAGE);
        bitmap.set(64 * TIB - 1);
        assertThat(runsOf(bitmap, 0)).containsExactly(new Run(seam - PAGE, 2 * PAGE), new Run(64 * TIB - PAGE, PAGE));
        assertThat(bitmap.count()).isEqualTo(3);
        assertThatIllegalArgumentException()
                .isThrownBy(() -> DirtyBitmap.of(GuestLayout.ofSingleRegion(PAGE, 64 * TIB + PAGE)))
                .withMessageContaining("17179869185").withMessageContaining("17179869184");
    }

    @Test
    void outsideTheImageQueriesSayNoAndChangesAreMistakes() {
        DirtyBitmap bitmap = DirtyBitmap.of(pages(3));
        assertThat(bitmap.test(-1)).isFalse();
        assertThat(bitmap.test(3 * PAGE)).isFalse();
        assertThatThrownBy(() -> bitmap.set(3 * PAGE)).isInstanceOf(IndexOutOfBoundsException.class)
                .hasMessageContaining("12288");
        assertThatThrownBy(() -> bitmap.set(-1)).isInstanceOf(IndexOutOfBoundsException.class);
        assertThatThrownBy(() -> bitmap.mark(PAGE, 2 * PAGE + 1)).isInstanceOf(IndexOutOfBoundsException.class)
                .hasMessageContaining("8193");
        assertThatThrownBy(() -> bitmap.mark(PAGE, Long.MAX_VALUE)).isInstanceOf(IndexOutOfBoundsException.class);
        assertThatThrownBy(() -> bitmap.clear(-PAGE, PAGE)).isInstanceOf(IndexOutOfBoundsException.class);
        assertThatThrownBy(() -> bitmap.count(0, -1)).isInstanceOf(IndexOutOfBoundsException.class);
        bitmap.mark(3 * PAGE, 0);
        assertThat(bitmap.isEmpty()).isTrue();
    }

    @Test
    void blocksThatCannotBeAreRefusedByName() {
        assertThatIllegalArgumentException().isThrownBy(() -> DirtyBitmap.of(pages(3), 6000))
                .withMessageContaining("6000");
        assertThatIllegalArgumentException().isThrownBy(() -> DirtyBitmap.of(pages(3), 2048))
                .withMessageContaining("2048").withMessageContaining("4096");
        assertThatIllegalArgumentException().isThrownBy(() -> DirtyBitmap.of(pages(3), Long.MIN_VALUE));
        assertThatIllegalArgumentException().isThrownBy(() -> runsOf(DirtyBitmap.of(pages(3)), -1));
    }

    @Test
    void bitmapsOfDifferentLayoutsDoNotMix() {
        DirtyBitmap three = DirtyBitmap.of(pages(3));
        DirtyBitmap four = DirtyBitmap.of(pages(4));
        assertThatIllegalArgumentException().isThrownBy(() -> three.or(four))
                .withMessageContaining("12288").withMessageContaining("16384");
        assertThatIllegalArgumentException().isThrownBy(() -> three.drainInto(four));
        assertThatIllegalArgumentException().isThrownBy(() -> three.drainInto(three));
    }

    @Test
    void aWordOfALogThatDoesNotFitIsRefused() {
        DirtyBitmap bitmap = DirtyBitmap.of(pages(100));
        assertThatThrownBy(() -> bitmap.markPages(50 * PAGE, 1L << 50)).isInstanceOf(IndexOutOfBoundsException.class)
                .hasMessageContaining("51").hasMessageContaining("100");
        assertThatThrownBy(() -> bitmap.markPages(-PAGE, 3)).isInstanceOf(IndexOutOfBoundsException.class);
        assertThatThrownBy(() -> bitmap.markPages(101 * PAGE, 0)).isInstanceOf(IndexOutOfBoundsException.class);
        assertThatIllegalArgumentException().isThrownBy(() -> bitmap.markPages(1, 1));
        assertThat(bitmap.isEmpty()).isTrue();

        bitmap.markPages(100 * PAGE, 0);
        bitmap.markPages(50 * PAGE, 1L << 49);
        assertThat(runsOf(bitmap, 0)).containsExactly(new Run(99 * PAGE, PAGE));
    }

    @Test
    void thePartialLastPageOfAnImportedImageIsOneOfALog() {
        DirtyBitmap bitmap = DirtyBitmap.of(
                GuestLayout.ofImportedImage(PAGE, List.of(new Region(0, 2 * PAGE + 1))));
        bitmap.markPages(PAGE, 0b10);
        assertThat(runsOf(bitmap, 0)).containsExactly(new Run(2 * PAGE, 1));
        assertThatThrownBy(() -> bitmap.markPages(PAGE, 0b100)).isInstanceOf(IndexOutOfBoundsException.class);
    }

    @Test
    void whatAConsumerThrowsEndsTheScan() {
        DirtyBitmap bitmap = DirtyBitmap.of(pages(100));
        bitmap.set(0);
        bitmap.set(50 * PAGE);
        IOException full = new IOException("full");
        assertThatThrownBy(() -> bitmap.runs(0, (offset, length) -> {
            assertThat(offset).isZero();
            throw full;
        })).isSameAs(full);
    }

    private static GuestLayout pages(long count) {
        return GuestLayout.ofSingleRegion(PAGE, count * PAGE);
    }

    /** Two bitmaps of one random layout, in block sizes of their own, beside their models. */
    private static final class RandomOperations {
        private final SplittableRandom random;
        private final GuestLayout layout;
        private final DirtyBitmap[] bitmaps = new DirtyBitmap[2];
        private final BitmapModel[] models = new BitmapModel[2];

        RandomOperations(SplittableRandom random) {
            this.random = random;
            int page = PAGE << (2 * random.nextInt(3));
            int count = 1 + random.nextInt(random.nextInt(4) == 0 ? 2000 : 200);
            layout = GuestLayout.of(page, List.of(new Region(0, (long) count * page)));
            for (int index = 0; index < 2; index++) {
                long block = (long) page << random.nextInt(9);
                bitmaps[index] = DirtyBitmap.of(layout, block);
                models[index] = new BitmapModel(layout, block);
            }
        }

        void run(int operations, Seed seed) {
            for (int done = 0; done < operations; done++) {
                int index = random.nextInt(2);
                step(bitmaps[index], models[index], 1 - index, seed);
            }
            for (int index = 0; index < 2; index++) {
                compare(bitmaps[index], models[index], seed);
            }
        }

        private void step(DirtyBitmap bitmap, BitmapModel model, int other, Seed seed) {
            long offset = random.nextLong(layout.lengthBytes());
            long longest = layout.lengthBytes() - offset;
            long length = random.nextLong(random.nextBoolean() ? longest + 1 : Math.min(longest, 3L << 16) + 1);
            switch (random.nextInt(16)) {
                case 0, 1, 2, 3 -> assertThat(bitmap.set(offset)).as("%s", seed).isEqualTo(model.set(offset));
                case 4, 5 -> {
                    bitmap.mark(offset, length);
                    model.mark(offset, length);
                }
                case 6, 7 -> assertThat(bitmap.test(offset)).as("%s", seed)
                        .isEqualTo(model.blocks().get((int) (offset / bitmap.blockBytes())));
                case 8, 9 -> {
                    bitmap.clear(offset, length);
                    model.clear(offset, length);
                }
                case 10 -> assertThat(bitmap.count(offset, length)).as("%s", seed)
                        .isEqualTo(model.count(offset, length));
                case 11 -> {
                    bitmap.or(bitmaps[other]);
                    model.or(models[other]);
                }
                case 12 -> {
                    bitmap.drainInto(bitmaps[other]);
                    models[other].or(model);
                    model.blocks().clear();
                }
                case 13 -> markPages(bitmap, model, offset);
                case 14 -> {
                    if (random.nextInt(8) == 0) {
                        bitmap.clear();
                        model.blocks().clear();
                    }
                }
                default -> compare(random.nextBoolean() ? bitmap : bitmap.copy(), model, seed);
            }
        }

        private void markPages(DirtyBitmap bitmap, BitmapModel model, long offset) {
            long firstPage = offset / layout.pageBytes();
            BitSet pages = new BitSet();
            for (int page = 0; page < Math.min(Long.SIZE, layout.pageCount() - firstPage); page++) {
                pages.set(page, random.nextInt(8) == 0);
            }
            bitmap.markPages(firstPage * layout.pageBytes(), pages.isEmpty() ? 0 : pages.toLongArray()[0]);
            model.markPages(firstPage * layout.pageBytes(), pages);
        }

        private void compare(DirtyBitmap bitmap, BitmapModel model, Seed seed) {
            long bridge = random.nextBoolean() ? 0 : random.nextLong(4 * bitmap.blockBytes());
            assertThat(runsOf(bitmap, bridge)).as("%s", seed).isEqualTo(model.runs(bridge));
            long start = random.nextLong(layout.lengthBytes() + 1);
            long length = random.nextLong(layout.lengthBytes() - start + 1);
            assertThat(runsOf(bitmap, start, length)).as("%s, %s bytes at %s", seed, length, start)
                    .isEqualTo(model.runs(start, length));
            assertThat(bitmap.count()).as("%s", seed).isEqualTo(model.blocks().cardinality());
            assertThat(bitmap.isEmpty()).as("%s", seed).isEqualTo(model.blocks().isEmpty());
        }
    }

    /** A thread may be on its way to set a bit when a bitmap is done with: it finds memory, and nobody else's. */
    @Test
    @EnabledOnOs(value = OS.LINUX, disabledReason = "elsewhere it is not told which memory is populated")
    void aBitmapThatIsDoneWithGivesItsMemoryBackAndTakesLateBits() throws IOException {
        Words words = new Words(1 << 20);
        for (long word = 0; word < words.count(); word++) {
            words.getAndOr(word, -1);
        }
        words.release();
        MemorySegment memory = words.memory();
        long page = Posix.host().getpagesize();
        long toPage = -memory.address() & page - 1;
        List<Long> populated = new ArrayList<>();
        PopulatedRanges.ofMemory(Posix.host(), memory.asSlice(toPage, memory.byteSize() - 2 * page),
                (offset, lengthBytes) -> populated.add(offset));
        assertThat(populated).isEmpty();
        assertThat(words.nextWithBits(0)).isEqualTo(words.count());
        assertThat(words.getAndOr(70_000, 4)).isZero();
        assertThat(words.nextWithBits(0)).isEqualTo(70_000);

        GuestLayout layout = GuestLayout.ofSingleRegion(4096, 100 * 4096);
        DirtyTracker tracker = DirtyTracker.ofMarks(layout);
        tracker.markWritten(0, 100 * 4096);
        Epoch epoch = tracker.harvest();
        tracker.close();
        tracker.markWritten(4096, 4096);
        assertThat(epoch.bitmap().count()).as("an outstanding epoch is still read").isEqualTo(100);
        DirtyBitmap small = DirtyBitmap.of(layout);
        small.mark(0, 100 * 4096);
        small.release();
        assertThat(small.isEmpty()).isTrue();
    }
}
