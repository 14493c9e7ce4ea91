package io.microsnap.store.internal;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatIllegalArgumentException;
import static org.assertj.core.api.Assertions.assertThatThrownBy;

import io.microsnap.core.DamagedException;
import io.microsnap.core.GuestLayout;
import io.microsnap.core.Region;
import io.microsnap.core.internal.posix.Descriptor;
import io.microsnap.core.internal.posix.Errno;
import io.microsnap.core.internal.posix.Posix;
import io.microsnap.core.testing.FaultyPosix;
import io.microsnap.testsupport.FileSystemKind;
import io.microsnap.testsupport.RealFileSystems;
import io.microsnap.testsupport.Seed;
import java.io.IOException;
import java.lang.foreign.Arena;
import java.lang.foreign.MemorySegment;
import java.lang.foreign.ValueLayout;
import java.nio.ByteBuffer;
import java.nio.ByteOrder;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.List;
import java.util.Random;
import java.util.SplittableRandom;
import java.util.concurrent.ExecutorService;
import java.util.concurrent.Executors;
import java.util.concurrent.Future;
import java.util.stream.IntStream;
import java.util.zip.CRC32C;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;

class PageIndexTest {
    private static final int PAGE = 4096;
    private static final long PAGES = 20_000;
    private static final GuestLayout LAYOUT = GuestLayout.ofSingleRegion(PAGE, PAGES * PAGE);

    private final Posix posix = Posix.host();
    @TempDir
    Path directory;

    @Test
    void aFreshIndexSaysThatEveryPageIsZero() throws IOException {
        try (Descriptor file = create("idx"); PageIndex index = PageIndex.create(file, LAYOUT)) {
            assertThat(index.crc(0)).isEqualTo(crcOf(new byte[PAGE]));
            assertThat(index.isZero(PAGES - 1)).isTrue();
            index.finish();
            assertThat(file.status().allocatedBytes()).as("a sparse guest has a sparse index").isLessThan(16 << 10);
        }
        try (Descriptor file = open("idx"); PageIndex index = PageIndex.open(file, LAYOUT)) {
            index.verify();
            assertThat(index.isZero(PAGES / 2)).isTrue();
        }
    }

    @Test
    void whatWasSetIsReadBackUnderTheSameRoot() throws IOException {
        int[] crcs = new Random(1).ints(PAGES).toArray();
        int root;
        try (Descriptor file = create("idx"); PageIndex index = PageIndex.create(file, LAYOUT)) {
            for (int page = 0; page < PAGES; page++) {
                index.set(page, crcs[page]);
            }
            root = index.finish();
            assertThat(index.root()).isEqualTo(root);
        }
        try (Descriptor file = open("idx"); PageIndex index = PageIndex.open(file, LAYOUT)) {
            assertThat(index.root()).isEqualTo(root);
            for (int page = 0; page < PAGES; page++) {
                assertThat(index.crc(page)).isEqualTo(crcs[page]);
            }
        }
    }

    @Test
    void aRunAndSinglePagesGiveTheSameFile() throws IOException {
        int[] crcs = new Random(2).ints(3000).toArray();
        try (Arena arena = Arena.ofConfined();
                Descriptor one = create("one"); PageIndex single = PageIndex.create(one, LAYOUT);
                Descriptor two = create("two"); PageIndex bulk = PageIndex.create(two, LAYOUT)) {
            MemorySegment run = arena.allocateFrom(ValueLayout.JAVA_INT, crcs);
            bulk.set(777, run);
            bulk.setZero(1000, 50);
            for (int page = 0; page < crcs.length; page++) {
                boolean zeroed = page + 777 >= 1000 && page + 777 < 1050;
                single.set(page + 777L, zeroed ? single.zero(page) : crcs[page]);
            }
            assertThat(bulk.finish()).isEqualTo(single.finish());
            MemorySegment back = arena.allocate(run.byteSize());
            single.crcs(777, back);
            assertThat(back.asSlice(273L * 4).mismatch(run.asSlice(273L * 4))).isEqualTo(-1);
        }
        assertThat(directory.resolve("one")).hasSameBinaryContentAs(directory.resolve("two"));
    }

    @Test
    void whichChunksAreTheSameIsKnownWithoutReadingThem() throws IOException {
        int[] crcs = new Random(2).ints(PAGES).toArray();
        write("one", crcs);
        crcs[5 * PageIndex.PAGES_IN_CHUNK]++;
        write("other", crcs);
        FaultyPosix counting = FaultyPosix.host();
        try (Descriptor left = Descriptor.open(counting.posix(), directory.resolve("one"), 0, 0);
                Descriptor right = Descriptor.open(counting.posix(), directory.resolve("other"), 0, 0);
                PageIndex one = PageIndex.open(left, LAYOUT); PageIndex other = PageIndex.open(right, LAYOUT)) {
            int reads = counting.calls("pread");
            for (long page = 0; page < PAGES; page++) {
                assertThat(one.isSameChunk(other, page)).isEqualTo(page / PageIndex.PAGES_IN_CHUNK != 5);
            }
            assertThat(counting.calls("pread")).isEqualTo(reads);
        }
    }

    @Test
    void changingACopyOfABaseEqualsWritingTheWholeIndexAnew() throws IOException {
        Random random = new Random(3);
        int[] crcs = random.ints(PAGES).toArray();
        write("base", crcs);
        try (Descriptor baseFile = open("base"); PageIndex base = PageIndex.open(baseFile, LAYOUT);
                Descriptor file = create("changed"); PageIndex changed = PageIndex.createFrom(base, file)) {
            assertThat(changed.crc(17)).isEqualTo(crcs[17]);
            for (int round = 0; round < 20; round++) {
                int page = random.nextInt((int) PAGES);
                crcs[page] = random.nextInt();
                changed.set(page, crcs[page]);
            }
            changed.finish();
            crcs[4] = 44;
            changed.set(4, 44);
            changed.finish();
        }
        write("anew", crcs);
        assertThat(directory.resolve("changed")).hasSameBinaryContentAs(directory.resolve("anew"));
    }

    @RealFileSystems({FileSystemKind.EXT4, FileSystemKind.XFS})
    void changesInAnyOrderAndOfAnySizeEqualWritingTheWholeIndexAnew(Path place, Seed seed) throws IOException {
        directory = place;
        SplittableRandom random = seed.random();
        int[] crcs = random.ints(PAGES).toArray();
        int zero = crcOf(new byte[PAGE]);
        Arrays.fill(crcs, 1000, 3000, zero);
        write("base", crcs);
        for (int round = 0; round < 30; round++) {
            int[] now = crcs.clone();
            try (Arena arena = Arena.ofConfined();
                    Descriptor baseFile = open("base"); PageIndex base = PageIndex.open(baseFile, LAYOUT);
                    Descriptor file = create("changed-" + round);
                    PageIndex changed = PageIndex.createFrom(base, file)) {
                int changes = 1 << random.nextInt(9);
                for (int change = 0; change < changes; change++) {
                    int first = random.nextInt((int) PAGES);
                    int count = Math.min((int) PAGES - first, 1 << random.nextInt(16));
                    if (random.nextInt(4) == 0) {
                        Arrays.fill(now, first, first + count, zero);
                        changed.setZero(first, count);
                    } else {
                        for (int page = first; page < first + count; page++) {
                            now[page] = random.nextInt();
                        }
                        int[] run = Arrays.copyOfRange(now, first, first + count);
                        changed.set(first, arena.allocateFrom(ValueLayout.JAVA_INT, run));
                    }
                    if (random.nextInt(50) == 0) {
                        changed.finish();
                    }
                }
                MemorySegment back = arena.allocate(PAGES * Integer.BYTES);
                changed.crcs(0, back);
                assertThat(back.toArray(ValueLayout.JAVA_INT)).isEqualTo(now);
                changed.finish();
            }
            write("anew-" + round, now);
            assertThat(directory.resolve("changed-" + round))
                    .hasSameBinaryContentAs(directory.resolve("anew-" + round));
        }
    }

    @Test
    void threadsThatChangeNeighbouringPagesLoseNothing() throws Exception {
        write("base", new int[0]);
        int threads = 4;
        try (Descriptor baseFile = open("base"); PageIndex base = PageIndex.open(baseFile, LAYOUT);
                Descriptor file = create("changed"); PageIndex changed = PageIndex.createFrom(base, file);
                ExecutorService executor = Executors.newFixedThreadPool(threads)) {
            List<Future<?>> parts = new ArrayList<>();
            for (int thread = 0; thread < threads; thread++) {
                int offset = thread;
                parts.add(executor.submit(() -> {
                    for (long page = offset; page < PAGES; page += threads) {
                        changed.set(page, (int) page);
                    }
                    return null;
                }));
            }
            for (Future<?> part : parts) {
                part.get();
            }
            changed.finish();
        }
        write("anew", IntStream.range(0, (int) PAGES).toArray());
        assertThat(directory.resolve("changed")).hasSameBinaryContentAs(directory.resolve("anew"));
    }

    @Test
    void aFileThatIsNoCopyOfTheBaseIsRefused() throws IOException {
        write("base", new int[] {1});
        write("other", new int[] {2});
        try (Descriptor baseFile = open("base"); Descriptor other = open("other");
                PageEntries base = PageEntries.open(EntryTable.Form.INDEX, LAYOUT, baseFile)) {
            assertThatThrownBy(() -> ChangedEntries.of(base, other, false)).isInstanceOf(DamagedException.class)
                    .hasMessageContaining("other").hasMessageContaining("not a copy of");
        }
    }

    @Test
    void whatALargeIndexCostsFollowsWhatChanged() throws IOException {
        GuestLayout large = GuestLayout.ofSingleRegion(PAGE, 64L << 30);
        try (Descriptor baseFile = create("base"); PageIndex base = PageIndex.create(baseFile, large)) {
            base.finish();
            FaultyPosix counting = FaultyPosix.host();
            long[] written = new long[1];
            counting.before(call -> {
                if (call.name().equals("pwrite")) {
                    written[0] += ((MemorySegment) call.arguments().get(1)).byteSize();
                }
            });
            int flags = posix.constants().O_RDWR | posix.constants().O_CREAT | posix.constants().O_EXCL;
            try (Descriptor file = Descriptor.open(counting.posix(), directory.resolve("changed"), flags, 0600);
                    PageIndex changed = PageIndex.createFrom(base, file)) {
                written[0] = 0;
                for (long page = 0; page < large.pageCount(); page += 1 << 20) {
                    changed.set(page, 1);
                    // It is zero already.
                    changed.setZero(page + 1000, 100_000);
                }
                changed.finish();
            }
            // 16 lines of 256 bytes, the header, and the table once.
            assertThat(written[0]).isLessThan(16 * 256 + PAGE + (64 << 10) + 1);
        }
    }

    /** As threads do that work at different places. */
    @Test
    void changesThatComeInTurnsFromDifferentPlacesAreWrittenInAsFewPieces() throws IOException {
        int lines = 512;
        GuestLayout layout = GuestLayout.ofSingleRegion(PAGE, lines * 64L * PAGE);
        try (Descriptor baseFile = create("base"); PageIndex base = PageIndex.create(baseFile, layout)) {
            base.finish();
            FaultyPosix counting = FaultyPosix.host();
            int flags = posix.constants().O_RDWR | posix.constants().O_CREAT | posix.constants().O_EXCL;
            try (Descriptor file = Descriptor.open(counting.posix(), directory.resolve("changed"), flags, 0600);
                    PageIndex changed = PageIndex.createFrom(base, file)) {
                for (int line = 0; line < lines / 2; line++) {
                    changed.set(line * 64L, 1 + line);
                    changed.set((lines - 1 - line) * 64L, 1000 + line);
                }
                int before = counting.calls("pwrite");
                changed.finish();
                // Two buffers full of lines, the table, the header.
                assertThat(counting.calls("pwrite") - before).isEqualTo(4);
                changed.verify();
                for (int line = 0; line < lines / 2; line++) {
                    assertThat(changed.crc(line * 64L)).isEqualTo(1 + line);
                    assertThat(changed.crc((lines - 1 - line) * 64L)).isEqualTo(1000 + line);
                }
            }
            try (Descriptor file = open("changed"); PageIndex opened = PageIndex.open(file, layout)) {
                opened.verify();
                assertThat(opened.crc(lines / 2 * 64L)).isEqualTo(1000 + lines / 2 - 1);
            }
        }
    }

    @Test
    void finishingAgainWritesNothingUnlessItFailedTheFirstTime() throws IOException {
        write("base", new int[] {1, 2, 3});
        try (Descriptor baseFile = open("base"); PageIndex base = PageIndex.open(baseFile, LAYOUT)) {
            FaultyPosix faulty = FaultyPosix.host();
            int flags = posix.constants().O_RDWR | posix.constants().O_CREAT | posix.constants().O_EXCL;
            try (Descriptor file = Descriptor.open(faulty.posix(), directory.resolve("changed"), flags, 0600);
                    PageIndex changed = PageIndex.createFrom(base, file)) {
                changed.set(1, 22);
                // The header is written last.
                faulty.at("pwrite", faulty.calls("pwrite") + 3).fails(Errno.ENOSPC);
                assertThatThrownBy(changed::finish).hasMessageContaining("ENOSPC");
                int root = changed.finish();
                int writes = faulty.calls("pwrite");
                assertThat(changed.finish()).isEqualTo(root);
                assertThat(faulty.calls("pwrite")).isEqualTo(writes);
            }
        }
        write("anew", new int[] {1, 22, 3});
        assertThat(directory.resolve("changed")).hasSameBinaryContentAs(directory.resolve("anew"));
    }

    @Test
    void theRootTellsLengthsAndPageSizesApart() throws IOException {
        assertThat(List.of(emptyRoot(PAGE, 64L * PAGE), emptyRoot(PAGE, 65L * PAGE), emptyRoot(4 * PAGE, 64L * PAGE)))
                .doesNotHaveDuplicates();
    }

    @Test
    void aLastPartialPageOfZerosIsZero() throws IOException {
        GuestLayout layout = GuestLayout.ofImportedImage(PAGE, List.of(new Region(0, 3 * PAGE + 100)));
        try (Descriptor file = create("idx"); PageIndex index = PageIndex.create(file, layout)) {
            assertThat(index.crc(3)).isEqualTo(crcOf(new byte[100]));
            index.set(3, 5);
            index.set(3, crcOf(new byte[100]));
            assertThat(index.isZero(3)).isTrue();
        }
    }

    @Test
    void damageIsFoundWhereverItIs() throws IOException {
        write("idx", new Random(4).ints(PAGES).toArray());
        byte[] sound = Files.readAllBytes(directory.resolve("idx"));
        Random random = new Random(5);
        for (int round = 0; round < 1000; round++) {
            byte[] damaged = sound.clone();
            int at = random.nextInt(damaged.length);
            damaged[at] ^= (byte) (1 << random.nextInt(8));
            assertDamaged("bit flipped at " + at, damaged);
        }
        assertDamaged("one byte short", Arrays.copyOf(sound, sound.length - 1));
        assertDamaged("one byte long", Arrays.copyOf(sound, sound.length + 1));
        assertDamaged("half a header", Arrays.copyOf(sound, 100));
        assertDamaged("empty", new byte[0]);
    }

    @Test
    void aHeaderThatIsNotTheTablesIsRefusedThoughBothAreIntact() throws IOException {
        write("idx", new int[] {1});
        byte[] one = Files.readAllBytes(directory.resolve("idx"));
        write("other", new int[] {2});
        byte[] other = Files.readAllBytes(directory.resolve("other"));
        System.arraycopy(other, 0, one, 0, PAGE);
        assertDamaged("header of another index", one);
    }

    @Test
    void reservedBytesAreZeroEvenUnderARightChecksum() throws IOException {
        write("idx", new int[] {1});
        byte[] bytes = Files.readAllBytes(directory.resolve("idx"));
        bytes[1000] = 1;
        ByteBuffer.wrap(bytes).order(ByteOrder.LITTLE_ENDIAN)
                .putInt(PAGE - Integer.BYTES, crcOf(Arrays.copyOf(bytes, PAGE - Integer.BYTES)));
        assertDamaged("reserved byte", bytes);
    }

    @Test
    void anIndexOfAnotherGuestIsRefusedNamingBothNumbers() throws IOException {
        write("idx", new int[0]);
        try (Descriptor file = open("idx")) {
            GuestLayout other = GuestLayout.ofSingleRegion(PAGE, (PAGES + 1) * PAGE);
            assertThatThrownBy(() -> PageIndex.open(file, other)).isInstanceOf(DamagedException.class)
                    .hasMessageContaining(Long.toString(PAGES * PAGE))
                    .hasMessageContaining(Long.toString((PAGES + 1) * PAGE));
        }
    }

    @Test
    void pagesBeyondTheImageAndFilesInUseAreRefused() throws IOException {
        try (Descriptor file = create("idx"); PageIndex index = PageIndex.create(file, LAYOUT)) {
            assertThatThrownBy(() -> index.set(PAGES, 0)).isInstanceOf(IndexOutOfBoundsException.class);
            assertThatThrownBy(() -> index.crc(-1)).isInstanceOf(IndexOutOfBoundsException.class);
            assertThatThrownBy(() -> index.setZero(PAGES - 1, 2)).isInstanceOf(IndexOutOfBoundsException.class);
            assertThatIllegalArgumentException().isThrownBy(() -> PageIndex.create(file, LAYOUT));
            index.finish();
        }
        try (Descriptor file = open("idx"); PageIndex index = PageIndex.open(file, LAYOUT)) {
            assertThatThrownBy(() -> index.set(0, 1)).isInstanceOf(IllegalStateException.class);
            assertThatThrownBy(index::finish).isInstanceOf(IllegalStateException.class);
        }
    }

    @Test
    void aDamagedChunkOfTheBaseIsNotLaunderedIntoACopy() throws IOException {
        write("base", new Random(6).ints(PAGES).toArray());
        byte[] bytes = Files.readAllBytes(directory.resolve("base"));
        bytes[bytes.length - 3 * PAGE] ^= 1;
        Files.write(directory.resolve("base"), bytes);
        try (Descriptor baseFile = open("base"); PageIndex base = PageIndex.open(baseFile, LAYOUT);
                Descriptor file = create("changed"); PageIndex changed = PageIndex.createFrom(base, file)) {
            changed.set(1, 1);
            assertThatThrownBy(() -> changed.set(17_500, 1)).isInstanceOf(DamagedException.class)
                    .hasMessageContaining("base").hasMessageContaining("pages from 17408");
        }
    }

    private void assertDamaged(String what, byte[] bytes) throws IOException {
        Files.write(directory.resolve("damaged"), bytes);
        try (Descriptor file = open("damaged")) {
            assertThatThrownBy(() -> {
                try (PageIndex index = PageIndex.open(file, LAYOUT)) {
                    index.verify();
                }
            }).as(what).isInstanceOf(DamagedException.class).hasMessageContaining("damaged");
        }
    }

    private int emptyRoot(int pageBytes, long lengthBytes) throws IOException {
        try (Descriptor file = create("root-" + pageBytes + "-" + lengthBytes);
                PageIndex index = PageIndex.create(file, GuestLayout.ofSingleRegion(pageBytes, lengthBytes))) {
            return index.finish();
        }
    }

    private void write(String name, int[] crcs) throws IOException {
        try (Descriptor file = create(name); PageIndex index = PageIndex.create(file, LAYOUT)) {
            for (int page = 0; page < crcs.length; page++) {
                index.set(page, crcs[page]);
            }
            index.finish();
        }
    }

    private Descriptor create(String name) throws IOException {
        int flags = posix.constants().O_RDWR | posix.constants().O_CREAT | posix.constants().O_EXCL;
        return Descriptor.open(posix, directory.resolve(name), flags, 0600);
    }

    private Descriptor open(String name) throws IOException {
        return Descriptor.open(posix, directory.resolve(name), posix.constants().O_RDONLY, 0);
    }

    private static int crcOf(byte[] bytes) {
        CRC32C crc = new CRC32C();
        crc.update(bytes);
        return (int) crc.getValue();
    }
}
