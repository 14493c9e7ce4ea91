package io.microsnap.memory.internal.image;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;

import io.microsnap.core.DamagedException;
import io.microsnap.core.GuestLayout;
import io.microsnap.core.Region;
import io.microsnap.core.internal.posix.Constants;
import io.microsnap.core.internal.posix.Descriptor;
import io.microsnap.core.internal.posix.Posix;
import io.microsnap.core.testing.FaultyPosix;
import io.microsnap.store.internal.PageMap;
import io.microsnap.testsupport.Seed;
import java.io.IOException;
import java.lang.foreign.Arena;
import java.lang.foreign.MemorySegment;
import java.lang.foreign.ValueLayout;
import java.nio.file.Path;
import java.util.Arrays;
import java.util.List;
import java.util.SplittableRandom;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;

final class ComposedImageTest {
    private static final int PAGE = 4096;
    private static final int PAGES = 200;
    // Imported: it ends within a page.
    private static final GuestLayout LAYOUT =
            GuestLayout.ofImportedImage(PAGE, List.of(new Region(0, (long) PAGES * PAGE - 1000)));

    private final Constants constants = Posix.host().constants();

    @TempDir
    private Path directory;

    @Test
    void whateverPartOfAChainIsReadEachByteComesFromTheFirstThatHoldsItsPage(Seed seed) throws IOException {
        SplittableRandom random = seed.random();
        try (Descriptor top = image("top", 3); Descriptor middle = image("middle", 2);
                Descriptor base = image("base", 1); Descriptor topMap = file("top.map");
                Descriptor middleMap = file("middle.map"); PageMap ofTop = PageMap.create(topMap, LAYOUT);
                PageMap ofMiddle = PageMap.create(middleMap, LAYOUT)) {
            int[] holders = new int[PAGES];
            Arrays.fill(holders, 1);
            mark(random, ofMiddle, holders, 2);
            mark(random, ofTop, holders, 3);
            ComposedImage composed = ComposedImage.of(LAYOUT, List.of(new ComposedImage.Layer("top", top, ofTop),
                    new ComposedImage.Layer("middle", middle, ofMiddle), new ComposedImage.Layer("base", base, null)));
            for (int round = 0; round < 500; round++) {
                int from = random.nextInt((int) LAYOUT.lengthBytes());
                int length = random.nextInt(1, (int) LAYOUT.lengthBytes() - from + 1);
                assertThat(read(composed, from, length)).as("%d+%d", from, length)
                        .isEqualTo(expected(holders, from, length));
                assertPieces(composed, holders, from - from % PAGE, from + length);
            }
        }
    }

    @Test
    void howeverManyRunsADiffHoldsTheDataBetweenThemIsLookedForOnce() throws IOException {
        FaultyPosix calls = FaultyPosix.host();
        image("base", 1).close();
        try (Descriptor top = image("top", 2); Descriptor topMap = file("top.map");
                PageMap ofTop = PageMap.create(topMap, LAYOUT);
                Descriptor base = Descriptor.open(calls.posix(), directory.resolve("base"), constants.O_RDONLY, 0)) {
            for (int page = 0; page < PAGES; page += 2) {
                ofTop.mark(page, 1);
            }
            ComposedImage composed = ComposedImage.of(LAYOUT, List.of(new ComposedImage.Layer("top", top, ofTop),
                    new ComposedImage.Layer("base", base, null)));
            long[] populated = new long[1];
            composed.populated(0, LAYOUT.lengthBytes(), (offset, length) -> populated[0] += length);
            assertThat(populated[0]).isEqualTo(LAYOUT.lengthBytes());
            assertThat(calls.calls("lseek")).as("where it starts, where it ends").isEqualTo(2);
        }
    }

    @Test
    void anImageThatIsShorterOrLongerThanTheGuestIsRefusedByName() throws IOException {
        try (Descriptor image = image("image", 1)) {
            List<ComposedImage.Layer> layers = List.of(new ComposedImage.Layer("snapshot-7", image, null));
            for (long lengthBytes : new long[] {LAYOUT.lengthBytes() - 1, LAYOUT.lengthBytes() + 1}) {
                image.truncate(lengthBytes);
                assertThatThrownBy(() -> ComposedImage.of(LAYOUT, layers)).isInstanceOf(DamagedException.class)
                        .hasMessageContaining("snapshot-7").hasMessageContaining(Long.toString(lengthBytes));
            }
        }
    }

    private static void assertPieces(ComposedImage composed, int[] holders, long from, long to) throws IOException {
        long[] at = {from};
        composed.pieces(from, to - from, (layer, offset, length) -> {
            assertThat(offset).isEqualTo(at[0]);
            assertThat(length).isPositive();
            at[0] += length;
            for (long page = offset / PAGE; page * PAGE < at[0]; page++) {
                assertThat(3 - layer).as("page %d", page).isEqualTo(holders[(int) page]);
            }
        });
        assertThat(at[0]).isEqualTo(to);
    }

    private static void mark(SplittableRandom random, PageMap map, int[] holders, int holder) throws IOException {
        for (int run = 0; run < 12; run++) {
            int first = random.nextInt(PAGES);
            int end = Math.min(PAGES, first + random.nextInt(1, 20));
            map.mark(first, end - first);
            Arrays.fill(holders, first, end, holder);
        }
    }

    private static byte[] expected(int[] holders, int from, int length) {
        byte[] bytes = new byte[length];
        for (int at = 0; at < length; at++) {
            bytes[at] = (byte) holders[(from + at) / PAGE];
        }
        return bytes;
    }

    private static byte[] read(ComposedImage composed, int from, int length) throws IOException {
        try (Arena arena = Arena.ofConfined()) {
            MemorySegment bytes = arena.allocate(length);
            composed.read(from, bytes);
            return bytes.toArray(ValueLayout.JAVA_BYTE);
        }
    }

    private Descriptor image(String name, int value) throws IOException {
        Descriptor image = file(name);
        try (Arena arena = Arena.ofConfined()) {
            image.writeFully(arena.allocate(LAYOUT.lengthBytes()).fill((byte) value), 0);
        }
        return image;
    }

    private Descriptor file(String name) throws IOException {
        return Descriptor.open(Posix.host(), directory.resolve(name), constants.O_RDWR | constants.O_CREAT, 0600);
    }
}
