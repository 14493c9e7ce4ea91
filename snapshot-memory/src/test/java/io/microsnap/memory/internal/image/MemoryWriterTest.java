package io.microsnap.memory.internal.image;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;

import io.microsnap.core.CancelledException;
import io.microsnap.core.GuestLayout;
import io.microsnap.core.PageReader;
import io.microsnap.core.RangeConsumer;
import io.microsnap.core.Region;
import io.microsnap.core.internal.file.Extents;
import io.microsnap.core.internal.posix.Constants;
import io.microsnap.core.internal.posix.Descriptor;
import io.microsnap.core.internal.posix.Posix;
import io.microsnap.dirty.DirtyBitmap;
import io.microsnap.memory.InMemoryPageReader;
import io.microsnap.memory.MemoryWritten;
import io.microsnap.memory.SparseReader;
import io.microsnap.memory.internal.reader.FileMemoryReader;
import io.microsnap.store.internal.PageIndex;
import io.microsnap.store.internal.PageMap;
import io.microsnap.testsupport.RealFileSystems;
import io.microsnap.testsupport.Seed;
import java.io.IOException;
import java.lang.foreign.Arena;
import java.lang.foreign.MemorySegment;
import java.lang.foreign.ValueLayout;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.BitSet;
import java.util.List;
import java.util.Optional;
import java.util.SplittableRandom;
import java.util.zip.CRC32C;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;

final class MemoryWriterTest {
    private static final Posix POSIX = Posix.host();
    private static final Constants C = POSIX.constants();
    private static final int PAGE = 4096;

    @TempDir
    private Path directory;

    @RealFileSystems
    void everyWayOfWritingGivesTheGuestsBytesAndTheirChecksums(Path on, Seed seed) throws IOException {
        SplittableRandom random = seed.random();
        for (int round = 0; round < 24; round++) {
            int pageBytes = PAGE << (2 * random.nextInt(3));
            GuestLayout layout = layout(random, pageBytes);
            BitSet populated = new BitSet();
            InMemoryPageReader guest = randomGuest(random, layout, populated);
            PageReader reader = new SparseReader(guest, populated, random.nextBoolean());
            Zeros zeros = List.of(Zeros.DENSE, Zeros.SPARSE, Zeros.SPARSEST).get(random.nextInt(3));
            try (Descriptor image = file(on, "image" + round); Descriptor indexFile = file(on, "index" + round);
                    PageIndex index = PageIndex.create(indexFile, layout)) {
                image.truncate(layout.lengthBytes());

                MemoryWritten written = MemoryWriter.into(image, layout).index(index).zeros(zeros)
                        .threads(random.nextInt(1, 4)).startingAsZeros().everything(reader);

                assertThat(content(image)).as("round %d, %s, %s", round, layout, zeros).isEqualTo(bytes(guest));
                assertIndexed(index, guest);
                if (zeros.equals(Zeros.DENSE)) {
                    assertThat(written.bytesWritten()).isEqualTo(layout.lengthBytes());
                }
            }
        }
    }

    @RealFileSystems
    void whatIsCapturedOntoACloneOrAsADiffIsTheGuest(Path on, Seed seed) throws IOException {
        SplittableRandom random = seed.random();
        for (int round = 0; round < 24; round++) {
            GuestLayout layout = layout(random, PAGE << (2 * random.nextInt(3)));
            BitSet populated = new BitSet();
            InMemoryPageReader guest = randomGuest(random, layout, populated);
            try (Descriptor base = file(on, "base" + round); Descriptor baseIndexFile = file(on, "bidx" + round);
                    PageIndex baseIndex = PageIndex.create(baseIndexFile, layout)) {
                base.truncate(layout.lengthBytes());
                MemoryWriter.into(base, layout).index(baseIndex).startingAsZeros().everything(guest);
                baseIndex.finish();
                byte[] before = bytes(guest);
                DirtyBitmap dirty = change(random, guest, populated, 1L << random.nextInt(12, 18));

                PageReader reader = new SparseReader(guest, populated, random.nextBoolean());
                boolean clone = random.nextBoolean();
                int way = random.nextInt(3);
                try (Descriptor image = file(on, "next" + round); Descriptor indexFile = file(on, "nidx" + round);
                        Descriptor mapFile = file(on, "nmap" + round);
                        PageIndex index = PageIndex.createFrom(baseIndex, indexFile);
                        PageMap map = PageMap.create(mapFile, layout)) {
                    image.truncate(layout.lengthBytes());
                    if (clone) {
                        fill(image, before);
                    }
                    MemoryWriter.Builder builder = MemoryWriter.into(image, layout).index(index)
                            .threads(random.nextInt(1, 3));
                    MemoryWriter writer = clone
                            ? builder.map(map).startingAsBase() : builder.map(map).startingAsZeros();
                    PageReader baseReader = FileMemoryReader.of(base, layout);
                    DirtyBitmap changed = DirtyBitmap.of(layout);

                    MemoryWritten written = switch (way) {
                        case 0 -> writer.dirty(reader, dirty);
                        case 1 -> writer.write(reader,
                                new WriteMode.Compare(baseReader, Optional.of(dirty), changed::mark));
                        default -> writer.write(reader,
                                new WriteMode.Compare(baseReader, Optional.empty(), changed::mark));
                    };

                    List<ComposedImage.Layer> layers = new ArrayList<>();
                    layers.add(new ComposedImage.Layer("next", image, map));
                    layers.add(new ComposedImage.Layer("base", base, null));
                    ComposedImage composed = ComposedImage.of(layout, layers);
                    String what = "round " + round + (clone ? " clone" : " diff") + " way " + way + " of " + layout;
                    assertThat(content(composed)).as(what).isEqualTo(bytes(guest));
                    if (clone) {
                        writer.punchZeros();
                        assertThat(content(image)).as(what).isEqualTo(bytes(guest));
                    }
                    assertIndexed(index, guest);
                    BitSet really = differing(before, bytes(guest), layout.pageBytes());
                    assertThat(written.pagesRecorded()).isEqualTo(map.count());
                    if (way > 0) {
                        assertThat(map.count()).as(what).isEqualTo(really.cardinality());
                        assertThat(changed.count()).as(what).isEqualTo(really.cardinality());
                    } else {
                        dirty.runs(0, (offset, length) -> {
                            for (long at = offset; at < offset + length; at += layout.pageBytes()) {
                                assertThat(map.test(at / layout.pageBytes())).as(what).isTrue();
                            }
                        });
                    }
                }
            }
        }
    }

    @Test
    void aDirtyPageOfZerosIsRecordedAsPresent() throws IOException {
        GuestLayout layout = GuestLayout.ofSingleRegion(PAGE, 4 * PAGE);
        InMemoryPageReader guest = InMemoryPageReader.of(layout);
        DirtyBitmap dirty = DirtyBitmap.of(layout);
        dirty.set(2 * PAGE);
        try (Descriptor image = file(directory, "image"); Descriptor mapFile = file(directory, "map");
                PageMap map = PageMap.create(mapFile, layout)) {
            image.truncate(layout.lengthBytes());

            MemoryWritten written = MemoryWriter.into(image, layout).map(map).startingAsZeros().dirty(guest, dirty);

            assertThat(written.pagesZero()).isEqualTo(1);
            assertThat(map.test(2)).isTrue();
            assertThat(map.count()).isEqualTo(1);
        }
    }

    @Test
    void aDirtyPageThatWasDiscardedIsZeroAndNotRead() throws IOException {
        GuestLayout layout = GuestLayout.ofSingleRegion(PAGE, 64 * PAGE);
        DirtyBitmap dirty = DirtyBitmap.of(layout);
        dirty.mark(10 * PAGE, 20 * PAGE);
        PageReader discarded = new SparseReader(InMemoryPageReader.of(layout), new BitSet(), false);
        try (Descriptor image = file(directory, "image"); Descriptor mapFile = file(directory, "map");
                PageMap map = PageMap.create(mapFile, layout)) {
            byte[] before = new byte[64 * PAGE];
            Arrays.fill(before, (byte) 7);
            fill(image, before);

            MemoryWriter writer = MemoryWriter.into(image, layout).map(map).startingAsBase();
            writer.dirty(discarded, dirty);

            Arrays.fill(before, 10 * PAGE, 30 * PAGE, (byte) 0);
            assertThat(content(image)).isEqualTo(before);
            assertThat(writer.punchZeros()).isEqualTo(20L * PAGE);
            assertThat(content(image)).isEqualTo(before);
            assertThat(data(image)).containsExactly(0L, 10L * PAGE, 30L * PAGE, 34L * PAGE);
        }
    }

    @Test
    void everythingThatIsWrittenOverACloneLeavesNothingOfItsBase() throws IOException {
        GuestLayout layout = GuestLayout.ofSingleRegion(PAGE, 64 * PAGE);
        InMemoryPageReader guest = InMemoryPageReader.of(layout);
        guest.bytes().asSlice(8 * PAGE, 4 * PAGE).fill((byte) 1);
        BitSet populated = new BitSet();
        populated.set(8, 16);
        try (Descriptor image = file(directory, "image")) {
            byte[] before = new byte[64 * PAGE];
            Arrays.fill(before, (byte) 7);
            fill(image, before);

            MemoryWriter.into(image, layout).startingAsBase().everything(new SparseReader(guest, populated, true));

            assertThat(content(image)).isEqualTo(bytes(guest));
        }
    }

    @Test
    void zerosThatAreWrittenIntoACloneCanBePunchedWhereTheyAreLongEnough() throws IOException {
        GuestLayout layout = GuestLayout.ofSingleRegion(PAGE, 64 * PAGE);
        InMemoryPageReader guest = InMemoryPageReader.of(layout);
        guest.bytes().fill((byte) 1);
        guest.bytes().asSlice(4 * PAGE, Zeros.SPARSE.smallestHoleBytes()).fill((byte) 0);
        guest.bytes().asSlice(40 * PAGE, Zeros.SPARSE.smallestHoleBytes() - PAGE).fill((byte) 0);
        DirtyBitmap dirty = DirtyBitmap.of(layout);
        dirty.mark(0, layout.lengthBytes());
        try (Descriptor image = file(directory, "image")) {
            image.truncate(layout.lengthBytes());

            MemoryWriter writer = MemoryWriter.into(image, layout).startingAsBase();
            writer.dirty(guest, dirty);

            assertThat(data(image)).containsExactly(0L, layout.lengthBytes());
            assertThat(writer.punchZeros()).isEqualTo(Zeros.SPARSE.smallestHoleBytes());
            long end = 4 * PAGE + Zeros.SPARSE.smallestHoleBytes();
            assertThat(data(image)).containsExactly(0L, 4L * PAGE, end, layout.lengthBytes() - end);
            assertThat(content(image)).isEqualTo(bytes(guest));
        }
    }

    @Test
    void aPageThatDiffersIsWrittenThoughItsChecksumIsTheBases() throws IOException {
        GuestLayout layout = GuestLayout.ofSingleRegion(PAGE, 4 * PAGE);
        InMemoryPageReader base = InMemoryPageReader.of(layout);
        base.bytes().fill((byte) 3);
        InMemoryPageReader guest = InMemoryPageReader.of(layout);
        guest.bytes().copyFrom(base.bytes());
        // The checksum's own polynomial, its bits in the order in which it takes them, changes no checksum.
        long bits = 0x1_05EC_76F1L;
        for (int bit = 0; bit < 33; bit++) {
            long at = 2L * PAGE + 1000 + bit / 8;
            long flip = ((bits >>> bit) & 1) << (bit % 8);
            guest.bytes().set(ValueLayout.JAVA_BYTE, at,
                    (byte) (guest.bytes().get(ValueLayout.JAVA_BYTE, at) ^ flip));
        }
        assertThat(checksum(guest, 2)).as("a collision").isEqualTo(checksum(base, 2));
        try (Descriptor image = file(directory, "image"); Descriptor baseIndexFile = file(directory, "base-index");
                Descriptor indexFile = file(directory, "index"); Descriptor mapFile = file(directory, "map");
                PageIndex baseIndex = PageIndex.create(baseIndexFile, layout);
                PageMap map = PageMap.create(mapFile, layout)) {
            for (int page = 0; page < 4; page++) {
                baseIndex.set(page, checksum(base, page));
            }
            baseIndex.finish();
            image.truncate(layout.lengthBytes());
            try (PageIndex index = PageIndex.createFrom(baseIndex, indexFile)) {
                MemoryWriter.into(image, layout).index(index).map(map).startingAsZeros()
                        .write(guest, new WriteMode.Compare(base, Optional.empty(), (offset, lengthBytes) -> { }));
            }
            assertThat(map.count()).isEqualTo(1);
            assertThat(map.test(2)).isTrue();
        }
    }

    private static int checksum(InMemoryPageReader guest, int page) {
        CRC32C crc = new CRC32C();
        crc.update(pageOf(guest, page).asByteBuffer());
        return (int) crc.getValue();
    }

    @Test
    void anImageShorterThanAPageIsWritten() throws IOException {
        GuestLayout layout = GuestLayout.ofImportedImage(16 << 10, List.of(new Region(0, 12_929)));
        InMemoryPageReader guest = InMemoryPageReader.of(layout);
        guest.bytes().fill((byte) 7);
        try (Descriptor image = file(directory, "image"); Descriptor indexFile = file(directory, "index");
                PageIndex index = PageIndex.create(indexFile, layout)) {
            image.truncate(layout.lengthBytes());

            MemoryWriter.into(image, layout).index(index).startingAsZeros().everything(guest);

            assertThat(content(image)).isEqualTo(bytes(guest));
            assertIndexed(index, guest);
        }
    }

    @Test
    void runsOfZerosBecomeHolesAndSinglePagesDoNot() throws IOException {
        GuestLayout layout = GuestLayout.ofSingleRegion(PAGE, 1 << 20);
        InMemoryPageReader guest = InMemoryPageReader.of(layout);
        guest.bytes().fill((byte) 1);
        guest.bytes().asSlice(5 * PAGE, PAGE).fill((byte) 0);
        guest.bytes().asSlice(64 * PAGE, 64 * PAGE).fill((byte) 0);
        guest.bytes().asSlice(160 * PAGE, Zeros.SPARSE.smallestHoleBytes()).fill((byte) 0);
        guest.bytes().asSlice(200 * PAGE, Zeros.SPARSE.smallestHoleBytes() - PAGE).fill((byte) 0);
        try (Descriptor image = file(directory, "image")) {
            image.truncate(layout.lengthBytes());

            MemoryWriter.into(image, layout).startingAsZeros().everything(guest);

            List<Long> data = new ArrayList<>();
            Extents.data(image, (offset, length) -> data.addAll(List.of(offset, length)));
            assertThat(data).containsExactly(0L, 64L * PAGE, 128L * PAGE, 32L * PAGE, 176L * PAGE, 80L * PAGE);
            assertThat(content(image)).isEqualTo(bytes(guest));
        }
    }

    /** What becomes a hole does not depend on where the pages before it begin to be populated. */
    @Test
    void runsOfZerosAreCutAtTheSameOffsetsWhereverPopulatedMemoryBegins() throws IOException {
        long step = 4L << 20;
        GuestLayout layout = GuestLayout.ofSingleRegion(PAGE, 3 * step);
        InMemoryPageReader guest = InMemoryPageReader.of(layout);
        guest.bytes().fill((byte) 1);
        guest.bytes().asSlice(0, PAGE).fill((byte) 0);
        // Too short for a hole on either side of the cut, and a page further on long enough before it.
        long half = Zeros.SPARSE.smallestHoleBytes() - PAGE;
        guest.bytes().asSlice(step - half, 2 * half).fill((byte) 0);
        for (boolean view : List.of(true, false)) {
            BitSet populated = new BitSet();
            populated.set(1, (int) layout.pageCount());
            try (Descriptor image = file(directory, "view-" + view)) {
                image.truncate(layout.lengthBytes());

                MemoryWriter.into(image, layout).startingAsZeros()
                        .everything(new SparseReader(guest, populated, view));

                List<Long> data = new ArrayList<>();
                Extents.data(image, (offset, length) -> data.addAll(List.of(offset, length)));
                assertThat(data).containsExactly((long) PAGE, layout.lengthBytes() - PAGE);
            }
        }
    }

    @Test
    void aBitmapOfAnotherSizeOrFinerThanThePagesIsRefusedWithBothNumbers() throws IOException {
        GuestLayout layout = GuestLayout.ofSingleRegion(16 << 10, 1 << 20);
        InMemoryPageReader guest = InMemoryPageReader.of(layout);
        try (Descriptor image = file(directory, "image")) {
            MemoryWriter writer = MemoryWriter.into(image, layout).startingAsZeros();
            assertThatThrownBy(() -> writer.dirty(guest,
                    DirtyBitmap.of(GuestLayout.ofSingleRegion(16 << 10, 2 << 20))))
                    .hasMessageContaining("2097152").hasMessageContaining("1048576");
            assertThatThrownBy(() -> writer.dirty(guest,
                    DirtyBitmap.of(GuestLayout.ofSingleRegion(4 << 10, 1 << 20))))
                    .hasMessageContaining("4096").hasMessageContaining("16384");
            assertThatThrownBy(() -> writer.everything(
                    InMemoryPageReader.of(GuestLayout.ofSingleRegion(16 << 10, 2 << 20))))
                    .isInstanceOf(IllegalArgumentException.class);
        }
    }

    @Test
    void whatIsDirtyIsWrittenBySeveralThreadsAsByOne(Seed seed) throws IOException {
        SplittableRandom random = seed.random();
        GuestLayout layout = GuestLayout.ofSingleRegion(PAGE, 2 * ChunkedWork.CHUNK_BYTES + 37 * PAGE);
        InMemoryPageReader guest = InMemoryPageReader.of(layout);
        DirtyBitmap dirty = DirtyBitmap.of(layout);
        long marked = 0;
        while (marked < 16L << 20) {
            long first = random.nextLong(layout.pageCount());
            long length = Math.min(random.nextLong(1, 600) * PAGE, layout.lengthBytes() - first * PAGE);
            dirty.mark(first * PAGE, length);
            guest.bytes().asSlice(first * PAGE, length).fill((byte) random.nextInt(1, 100));
            marked += length;
        }
        // A run over the border between two chunks.
        dirty.mark(ChunkedWork.CHUNK_BYTES - PAGE, 2 * PAGE);
        guest.bytes().asSlice(ChunkedWork.CHUNK_BYTES - PAGE, 2 * PAGE).fill((byte) 101);
        List<MemoryWritten> written = new ArrayList<>();
        for (int threads = 1; threads <= 3; threads++) {
            try (Descriptor image = file(directory, "image" + threads);
                    Descriptor mapFile = file(directory, "map" + threads);
                    PageMap map = PageMap.create(mapFile, layout)) {
                image.truncate(layout.lengthBytes());
                written.add(MemoryWriter.into(image, layout).map(map).threads(threads).startingAsZeros()
                        .dirty(guest, dirty));
                assertThat(Arrays.mismatch(content(image), bytes(guest))).as("%d threads", threads).isEqualTo(-1);
                map.finish();
                DirtyBitmap recorded = DirtyBitmap.of(layout);
                map.runs(recorded::mark);
                assertThat(recorded.count()).isEqualTo(dirty.count());
            }
        }
        assertThat(written).extracting(MemoryWritten::pagesRecorded).containsOnly(dirty.count());
    }

    @Test
    void oneWorkerThatFailsStopsTheOthersAndIsWhatTheCallerGets() throws IOException {
        GuestLayout layout = GuestLayout.ofSingleRegion(PAGE, 4 * ChunkedWork.CHUNK_BYTES);
        InMemoryPageReader guest = InMemoryPageReader.of(layout);
        try (Descriptor image = file(directory, "image")) {
            assertThatThrownBy(() -> MemoryWriter.into(image, layout).threads(3).progress((done, total) -> {
                throw new CancelledException("enough");
            }).startingAsZeros().everything(guest)).isInstanceOf(CancelledException.class).hasMessage("enough");
        }
    }

    /** Only what is copied out of a view that may be shortened can meet memory that is gone. */
    @Test
    void anErrorOfTheMachineIsNotTakenForMemoryThatIsGone() throws IOException {
        GuestLayout layout = GuestLayout.ofSingleRegion(PAGE, 4 * PAGE);
        InternalError error = new InternalError("of another kind");
        for (boolean view : List.of(true, false)) {
            PageReader failing = new PageReader() {
                private final InMemoryPageReader guest = InMemoryPageReader.of(layout);

                @Override
                public GuestLayout layout() {
                    return layout;
                }

                @Override
                public MemorySegment view(long imageOffset, long lengthBytes) {
                    return view ? guest.view(imageOffset, lengthBytes) : MemorySegment.NULL;
                }

                @Override
                public void read(long imageOffset, MemorySegment destination) {
                    throw error;
                }

                @Override
                public void populated(long imageOffset, long lengthBytes, RangeConsumer ranges) throws IOException {
                    if (view) {
                        throw error;
                    }
                    ranges.accept(imageOffset, lengthBytes);
                }

                @Override
                public boolean mayBeTruncated() {
                    return !view;
                }
            };
            DirtyBitmap dirty = DirtyBitmap.of(layout);
            dirty.mark(0, layout.lengthBytes());
            try (Descriptor image = file(directory, "image")) {
                MemoryWriter writer = MemoryWriter.into(image, layout).startingAsZeros();
                assertThatThrownBy(() -> writer.everything(failing)).isSameAs(error);
                assertThatThrownBy(() -> writer.dirty(failing, dirty)).isSameAs(error);
            }
        }
    }

    private static List<Long> data(Descriptor image) throws IOException {
        List<Long> ranges = new ArrayList<>();
        Extents.data(image, (offset, length) -> ranges.addAll(List.of(offset, length)));
        return ranges;
    }

    private static GuestLayout layout(SplittableRandom random, int pageBytes) {
        List<Region> regions = new ArrayList<>();
        long address = 0;
        for (int region = random.nextInt(1, 5); region > 0; region--) {
            address += (long) pageBytes * random.nextInt(0, 1000);
            long length = (long) pageBytes * random.nextInt(1, 100);
            boolean midPage = region == 1 && random.nextBoolean();
            regions.add(new Region(address, midPage ? length - random.nextInt(pageBytes) : length));
            address += length;
        }
        return GuestLayout.ofImportedImage(pageBytes, regions);
    }

    /** Pages of noise, of zeros, of one byte at their end, and such as were never populated. */
    private static InMemoryPageReader randomGuest(SplittableRandom random, GuestLayout layout, BitSet populated) {
        InMemoryPageReader guest = InMemoryPageReader.of(layout);
        int page = 0;
        while (page < layout.pageCount()) {
            int end = (int) Math.min(layout.pageCount(), page + random.nextInt(1, 40));
            int kind = random.nextInt(4);
            for (; page < end; page++) {
                populated.set(page, kind > 0);
                scribble(random, guest, page, kind);
            }
        }
        return guest;
    }

    private static void scribble(SplittableRandom random, InMemoryPageReader guest, int page, int kind) {
        MemorySegment bytes = pageOf(guest, page);
        switch (kind) {
            case 0, 1 -> bytes.fill((byte) 0);
            case 2 -> {
                byte[] noise = new byte[(int) bytes.byteSize()];
                random.nextBytes(noise);
                bytes.copyFrom(MemorySegment.ofArray(noise));
            }
            default -> {
                bytes.fill((byte) 0);
                bytes.set(ValueLayout.JAVA_BYTE, bytes.byteSize() - 1, (byte) 1);
            }
        }
    }

    private static MemorySegment pageOf(InMemoryPageReader guest, int page) {
        long pageBytes = guest.layout().pageBytes();
        return guest.bytes().asSlice(page * pageBytes,
                Math.min(pageBytes, guest.layout().lengthBytes() - page * pageBytes));
    }

    /** Writes, zeroes and discards pages, marks those and some more, in blocks of the size asked or of a page. */
    private static DirtyBitmap change(SplittableRandom random, InMemoryPageReader guest, BitSet populated, long block) {
        GuestLayout layout = guest.layout();
        DirtyBitmap dirty = DirtyBitmap.of(layout, Math.max(block, layout.pageBytes()));
        for (int change = random.nextInt(1, 60); change > 0; change--) {
            int page = random.nextInt((int) layout.pageCount());
            int kind = random.nextInt(5);
            if (kind < 4) {
                populated.set(page, kind > 0);
                scribble(random, guest, page, kind);
            }
            dirty.set((long) page * layout.pageBytes());
        }
        return dirty;
    }

    private static BitSet differing(byte[] before, byte[] after, int pageBytes) {
        BitSet pages = new BitSet();
        for (int at = 0; at < before.length; at += pageBytes) {
            int end = Math.min(before.length, at + pageBytes);
            pages.set(at / pageBytes, java.util.Arrays.mismatch(before, at, end, after, at, end) >= 0);
        }
        return pages;
    }

    private static void assertIndexed(PageIndex index, InMemoryPageReader guest) throws IOException {
        for (int page = 0; page < guest.layout().pageCount(); page++) {
            assertThat(index.crc(page)).as("page %d", page).isEqualTo(checksum(guest, page));
        }
    }

    private static byte[] bytes(InMemoryPageReader guest) {
        return guest.bytes().toArray(ValueLayout.JAVA_BYTE);
    }

    private static byte[] content(PageReader reader) throws IOException {
        try (Arena arena = Arena.ofConfined()) {
            MemorySegment all = arena.allocate(reader.layout().lengthBytes());
            reader.read(0, all);
            return all.toArray(ValueLayout.JAVA_BYTE);
        }
    }

    private static byte[] content(Descriptor file) throws IOException {
        try (Arena arena = Arena.ofConfined()) {
            MemorySegment all = arena.allocate(file.sizeBytes());
            file.readFully(all, 0);
            return all.toArray(ValueLayout.JAVA_BYTE);
        }
    }

    private static void fill(Descriptor file, byte[] content) throws IOException {
        try (Arena arena = Arena.ofConfined()) {
            MemorySegment all = arena.allocate(content.length);
            all.copyFrom(MemorySegment.ofArray(content));
            file.writeFully(all, 0);
        }
    }

    private static Descriptor file(Path directory, String name) throws IOException {
        return Descriptor.open(POSIX, directory.resolve(name), C.O_RDWR | C.O_CREAT | C.O_TRUNC, 0600);
    }
}
