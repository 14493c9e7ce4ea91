package io.microsnap.store.internal;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;

import io.microsnap.core.DamagedException;
import io.microsnap.core.GuestLayout;
import io.microsnap.core.Region;
import io.microsnap.core.internal.posix.Descriptor;
import io.microsnap.core.internal.posix.Errno;
import io.microsnap.core.internal.posix.Posix;
import io.microsnap.core.testing.FaultyPosix;
import java.io.IOException;
import java.nio.ByteBuffer;
import java.nio.ByteOrder;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.BitSet;
import java.util.List;
import java.util.Random;
import java.util.concurrent.Callable;
import java.util.concurrent.Executors;
import java.util.concurrent.Future;
import java.util.zip.CRC32C;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;

class PageMapTest {
    private static final int PAGE = 4096;
    private static final int PAGES = 100_003;
    private static final GuestLayout LAYOUT =
            GuestLayout.ofImportedImage(PAGE, List.of(new Region(0, PAGES * (long) PAGE - 1000)));

    private final Posix posix = Posix.host();
    @TempDir
    Path directory;

    @Test
    void marksSurviveAsTheyWereMade() throws IOException {
        BitSet expected = new BitSet();
        Random random = new Random(11);
        int root;
        try (Descriptor file = create("map"); PageMap map = PageMap.create(file, LAYOUT)) {
            for (int round = 0; round < 300; round++) {
                int first = random.nextInt(PAGES);
                int count = Math.min(PAGES - first, random.nextInt(200));
                map.mark(first, count);
                expected.set(first, first + count);
            }
            map.mark(PAGES - 1);
            expected.set(PAGES - 1);
            assertSame(map, expected);
            root = map.finish();
        }
        try (Descriptor file = open("map"); PageMap map = PageMap.open(file, LAYOUT)) {
            map.verify();
            assertSame(map, expected);
            assertThat(map.root()).isEqualTo(root);
            assertThatThrownBy(() -> map.mark(expected.nextClearBit(0))).isInstanceOf(IllegalStateException.class);
        }
    }

    @Test
    void whatIsLookedForIsReadOnTheWay() throws IOException {
        try (Descriptor file = create("map"); PageMap map = PageMap.create(file, LAYOUT)) {
            map.mark(70_000, 30_000);
            map.finish();
        }
        try (Descriptor file = open("map"); PageMap map = PageMap.open(file, LAYOUT)) {
            assertThat(map.nextMarked(5)).isEqualTo(70_000);
        }
        try (Descriptor file = open("map"); PageMap map = PageMap.open(file, LAYOUT)) {
            assertThat(map.nextClear(70_001)).isEqualTo(100_000);
        }
    }

    @Test
    void runsAreImageOffsetsClippedToTheImage() throws IOException {
        try (Descriptor file = create("map"); PageMap map = PageMap.create(file, LAYOUT)) {
            assertThat(runs(map)).isEmpty();
            map.mark(3, 70);
            map.mark(PAGES - 2, 2);
            assertThat(runs(map)).containsExactly("12288+286720", (PAGES - 2L) * PAGE + "+" + (2 * PAGE - 1000));
            map.mark(0, PAGES);
            assertThat(runs(map)).containsExactly("0+" + LAYOUT.lengthBytes());
        }
    }

    @Test
    void manyThreadsMarkNeighbouringPagesAndNoMarkIsLost() throws Exception {
        int threads = 4;
        try (Descriptor file = create("map"); PageMap map = PageMap.create(file, LAYOUT);
                var executor = Executors.newFixedThreadPool(threads)) {
            List<Callable<Void>> tasks = new ArrayList<>();
            for (int thread = 0; thread < threads; thread++) {
                int first = thread;
                tasks.add(() -> {
                    for (int page = first; page < PAGES; page += threads) {
                        map.mark(page);
                    }
                    return null;
                });
            }
            for (Future<Void> done : executor.invokeAll(tasks)) {
                done.get();
            }
            assertThat(map.count()).isEqualTo(PAGES);
            map.finish();
        }
        try (Descriptor file = open("map"); PageMap map = PageMap.open(file, LAYOUT)) {
            assertThat(map.count()).isEqualTo(PAGES);
        }
    }

    @Test
    void finishingAgainWritesNothingUnlessItFailedOrSomethingWasMarkedSince() throws IOException {
        FaultyPosix faulty = FaultyPosix.host();
        int flags = posix.constants().O_RDWR | posix.constants().O_CREAT | posix.constants().O_EXCL;
        int root;
        try (Descriptor file = Descriptor.open(faulty.posix(), directory.resolve("map"), flags, 0600);
                PageMap map = PageMap.create(file, LAYOUT)) {
            map.mark(7);
            // Entries, table, and last the header.
            faulty.at("pwrite", 3).fails(Errno.ENOSPC);
            assertThatThrownBy(map::finish).hasMessageContaining("ENOSPC");
            int first = map.finish();
            assertThat(map.finish()).isEqualTo(first);
            assertThat(faulty.calls("pwrite")).isEqualTo(4);
            map.mark(7);
            assertThat(map.finish()).as("it was marked already").isEqualTo(first);
            assertThat(faulty.calls("pwrite")).isEqualTo(4);
            map.mark(8);
            root = map.finish();
            assertThat(root).isNotEqualTo(first);
        }
        try (Descriptor file = open("map"); PageMap map = PageMap.open(file, LAYOUT)) {
            assertThat(map.root()).isEqualTo(root);
            assertThat(map.count()).isEqualTo(2);
        }
    }

    @Test
    void damageIsFoundWhereverItIs() throws IOException {
        try (Descriptor file = create("map"); PageMap map = PageMap.create(file, LAYOUT)) {
            map.mark(5, 1000);
            map.finish();
        }
        byte[] sound = Files.readAllBytes(directory.resolve("map"));
        Random random = new Random(12);
        for (int round = 0; round < 2000; round++) {
            byte[] damaged = sound.clone();
            int at = random.nextInt(damaged.length);
            damaged[at] ^= (byte) (1 << random.nextInt(8));
            Files.write(directory.resolve("damaged"), damaged);
            assertThatThrownBy(this::verifyDamaged).as("bit flipped at " + at).isInstanceOf(DamagedException.class);
        }
    }

    @Test
    void bitsPastTheEndAreRefusedEvenWithRightChecksums() throws IOException {
        try (Descriptor file = create("map"); PageMap map = PageMap.create(file, LAYOUT)) {
            map.mark(PAGES - 1);
            map.finish();
        }
        ByteBuffer bytes = ByteBuffer.wrap(Files.readAllBytes(directory.resolve("map"))).order(ByteOrder.LITTLE_ENDIAN);
        int entriesAt = 2 * 4096;
        int lastChunk = bytes.capacity() - 4096;
        int lastByte = entriesAt + (PAGES - 1) / 8;
        bytes.put(lastByte, (byte) (bytes.get(lastByte) | (1 << (PAGES % 8))));
        int tableEntry = 4096 + (lastChunk - entriesAt) / 4096 * 4;
        bytes.putInt(tableEntry, crc(bytes, lastChunk, 4096) ^ crc(ByteBuffer.allocate(4096), 0, 4096));
        CRC32C root = new CRC32C();
        root.update(bytes.slice(8, 36));
        root.update(bytes.slice(4096, (bytes.capacity() - entriesAt) / 4096 * 4));
        bytes.putInt(44, (int) root.getValue());
        bytes.putInt(4092, crc(bytes, 0, 4092));
        Files.write(directory.resolve("damaged"), bytes.array());
        assertThatThrownBy(this::verifyDamaged).isInstanceOf(DamagedException.class)
                .hasMessageContaining("past its last page, " + (PAGES - 1));
    }

    @Test
    void anIndexIsNotTakenForAMap() throws IOException {
        try (Descriptor file = create("damaged"); PageIndex index = PageIndex.create(file, LAYOUT)) {
            index.finish();
        }
        assertThatThrownBy(this::verifyDamaged).isInstanceOf(DamagedException.class)
                .hasMessageContaining("does not start like a page map");
    }

    private void verifyDamaged() throws IOException {
        try (Descriptor file = open("damaged"); PageMap map = PageMap.open(file, LAYOUT)) {
            map.verify();
        }
    }

    private static int crc(ByteBuffer bytes, int at, int length) {
        CRC32C crc = new CRC32C();
        crc.update(bytes.slice(at, length));
        return (int) crc.getValue();
    }

    private static List<String> runs(PageMap map) throws IOException {
        List<String> runs = new ArrayList<>();
        map.runs((offset, length) -> runs.add(offset + "+" + length));
        return runs;
    }

    private static void assertSame(PageMap map, BitSet expected) throws IOException {
        assertThat(map.count()).isEqualTo(expected.cardinality());
        for (int page = 0; page < PAGES; page++) {
            assertThat(map.test(page)).isEqualTo(expected.get(page));
        }
        int clear = expected.nextClearBit(0);
        assertThat(map.nextClear(0)).isEqualTo(clear);
        assertThat(map.nextMarked(clear)).isEqualTo(expected.nextSetBit(clear));
        assertThat(map.nextMarked(PAGES)).isEqualTo(PAGES);
    }

    private Descriptor create(String name) throws IOException {
        int flags = posix.constants().O_RDWR | posix.constants().O_CREAT | posix.constants().O_EXCL;
        return Descriptor.open(posix, directory.resolve(name), flags, 0600);
    }

    private Descriptor open(String name) throws IOException {
        return Descriptor.open(posix, directory.resolve(name), posix.constants().O_RDONLY, 0);
    }
}
