package io.microsnap.memory.internal.image;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;

import io.microsnap.core.GuestLayout;
import io.microsnap.core.Region;
import io.microsnap.core.SnapshotException;
import io.microsnap.core.internal.file.Extents;
import io.microsnap.core.internal.file.Reflink;
import io.microsnap.core.internal.posix.Constants;
import io.microsnap.core.internal.posix.Descriptor;
import io.microsnap.core.internal.posix.Errno;
import io.microsnap.core.internal.posix.Posix;
import io.microsnap.core.testing.FaultyPosix;
import io.microsnap.dirty.DirtyBitmap;
import io.microsnap.memory.InMemoryPageReader;
import io.microsnap.memory.MemoryWritten;
import io.microsnap.memory.SparseReader;
import io.microsnap.store.internal.PageIndex;
import io.microsnap.testsupport.FileSystemKind;
import io.microsnap.testsupport.RealFileSystems;
import io.microsnap.testsupport.Seed;
import java.io.IOException;
import java.lang.foreign.Arena;
import java.lang.foreign.MemorySegment;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.BitSet;
import java.util.List;
import java.util.SplittableRandom;

/** What lanes write beside an image and the image takes over. */
final class SideFilesTest {
    private static final Posix POSIX = Posix.host();
    private static final Constants C = POSIX.constants();
    private static final int PAGE = 4096;
    private static final int LANES = 3;
    /** Three chunks and a bit: one for each lane at the least, and one that ends with the image. */
    private static final GuestLayout LAYOUT = GuestLayout.of(PAGE, List.of(
            new Region(0, Lanes.CHUNK_BYTES - 5 * PAGE), new Region(1L << 32, 2 * Lanes.CHUNK_BYTES + 77 * PAGE)));

    @RealFileSystems
    void thereIsOneForEachLaneWhereAFilesystemIsSlowAtWriting(Path on, FileSystemKind fileSystem) throws IOException {
        GuestLayout oneChunk = GuestLayout.ofSingleRegion(PAGE, Lanes.CHUNK_BYTES);
        GuestLayout midPage = GuestLayout.ofImportedImage(PAGE, List.of(new Region(0, Lanes.CHUNK_BYTES + 17)));
        GuestLayout small = GuestLayout.ofSingleRegion(PAGE, SideFiles.LEAST_BYTES - PAGE);
        int one = fileSystem == FileSystemKind.BTRFS ? 1 : 0;
        try (Nameless files = new Nameless(POSIX, on); Descriptor image = file(POSIX, on, "image")) {
            image.truncate(LAYOUT.lengthBytes());
            assertThat(SideFiles.suiting(image, LAYOUT, LANES, files::make).count()).isEqualTo(LANES * one);
            assertThat(SideFiles.suiting(image, LAYOUT, 1, files::make).count()).isEqualTo(one);
            assertThat(SideFiles.suiting(image, oneChunk, LANES, files::make).count()).isEqualTo(one);
            assertThat(files.made).hasSize((LANES + 2) * one);
            assertThat(SideFiles.suiting(image, midPage, LANES, files::make).count()).isZero();
            assertThat(SideFiles.suiting(image, small, LANES, files::make).count()).isZero();
            assertThat(files.made).hasSize((LANES + 2) * one);
        }
    }

    @RealFileSystems({FileSystemKind.BTRFS})
    void whatCannotShareWithTheImageIsNotUsed(Path on) throws IOException {
        FaultyPosix faulty = FaultyPosix.host().at("ioctl", 1).fails(Errno.EINVAL);
        try (Nameless files = new Nameless(faulty.posix(), on);
                Descriptor image = file(faulty.posix(), on, "image")) {
            image.truncate(LAYOUT.lengthBytes());
            assertThat(SideFiles.suiting(image, LAYOUT, LANES, files::make).count()).isZero();
            assertThat(files.made).hasSize(1);
        }
    }

    @RealFileSystems({FileSystemKind.BTRFS})
    void anImageTakesOverWhatWasWrittenBesideIt(Path on, Seed seed) throws IOException {
        SplittableRandom random = seed.random();
        InMemoryPageReader guest = InMemoryPageReader.of(LAYOUT);
        for (long offset = 0; offset < LAYOUT.lengthBytes(); offset += 1 << 20) {
            guest.bytes().asSlice(offset, 40 * PAGE).fill((byte) random.nextInt(1, 100));
        }
        try (Descriptor base = file(POSIX, on, "base");
                Descriptor baseIndexFile = file(POSIX, on, "base-index");
                PageIndex baseIndex = PageIndex.create(baseIndexFile, LAYOUT);
                Nameless files = new Nameless(POSIX, on)) {
            ImageWriter.into(base, LAYOUT).index(baseIndex).lanes(LANES).beside(files.suiting(base, LANES))
                    .startingAsZeros().everything(guest);
            assertThat(mismatch(base, guest)).as("what is written whole is written at once").isEqualTo(-1);
            baseIndex.finish();

            // Runs on both sides of the borders between chunks, zeros among them.
            DirtyBitmap dirty = DirtyBitmap.of(LAYOUT);
            for (int run = 0; run < 400; run++) {
                long first = random.nextLong(LAYOUT.pageCount());
                change(guest, dirty, random, first, Math.min(random.nextLong(1, 40), LAYOUT.pageCount() - first));
            }
            change(guest, dirty, random, Lanes.CHUNK_BYTES / PAGE - 2, 4);
            change(guest, dirty, random, LAYOUT.pageCount() - 1, 1);
            for (boolean clone : List.of(true, false)) {
                assertTakenOver(on, base, baseIndex, guest, dirty, clone);
            }
        }
    }

    private static void change(
            InMemoryPageReader guest, DirtyBitmap dirty, SplittableRandom random, long first, long pages) {
        guest.bytes().asSlice(first * PAGE, pages * PAGE).fill((byte) random.nextInt(0, 3));
        dirty.mark(first * PAGE, pages * PAGE);
    }

    private static void assertTakenOver(Path on, Descriptor base, PageIndex baseIndex, InMemoryPageReader guest,
            DirtyBitmap dirty, boolean clone) throws IOException {
        try (Descriptor image = file(POSIX, on, "image-" + clone);
                Descriptor indexFile = file(POSIX, on, "index-" + clone);
                PageIndex index = PageIndex.createFrom(baseIndex, indexFile);
                Nameless files = new Nameless(POSIX, on)) {
            if (clone) {
                assertThat(new Reflink().cloneContent(base, image).isCloned()).isTrue();
            }
            ImageWriter.Builder builder = ImageWriter.into(image, LAYOUT).index(index).lanes(LANES)
                    .beside(files.suiting(image, LANES));
            ImageWriter writer = clone ? builder.startingAsBase() : builder.startingAsZeros();
            MemoryWritten written = writer.dirty(guest, dirty);
            assertThat(written.pagesRecorded()).isEqualTo(dirty.count());
            assertThat(written.bytesWritten()).as("zeros that are long enough are not written")
                    .isLessThan(dirty.count() * PAGE);
            assertThat(dirtyMismatch(image, guest, dirty)).as("before it has taken over anything").isTrue();
            long punchedBytes = writer.settle();
            assertThat(dirtyMismatch(image, guest, dirty)).as("clone: %s", clone).isFalse();
            if (clone) {
                assertThat(mismatch(image, guest)).isEqualTo(-1);
                assertThat(punchedBytes).isGreaterThanOrEqualTo(dirty.count() * PAGE - written.bytesWritten());
            } else {
                assertThat(dataBytes(image)).isEqualTo(written.bytesWritten());
            }
            assertThatThrownBy(() -> writer.dirty(guest, dirty)).isInstanceOf(IllegalStateException.class)
                    .hasMessageContaining("written already");
        }
    }

    /** Long enough to be a hole or too short for one. */
    @RealFileSystems({FileSystemKind.BTRFS})
    void whatWasDiscardedSinceReadsAsZeros(Path on) throws IOException {
        InMemoryPageReader guest = InMemoryPageReader.of(LAYOUT);
        guest.bytes().fill((byte) 1);
        BitSet populated = new BitSet();
        populated.set(0, Math.toIntExact(LAYOUT.pageCount()));
        DirtyBitmap dirty = DirtyBitmap.of(LAYOUT);
        dirty.mark(0, SideFiles.LEAST_BYTES);
        try (Descriptor image = file(POSIX, on, "image"); Nameless files = new Nameless(POSIX, on)) {
            image.writeFully(guest.bytes(), 0);
            for (int pages : new int[] {1, 2, 15, 16, 17, 100}) {
                populated.clear(5 * pages, 6 * pages);
                guest.bytes().asSlice(5L * pages * PAGE, (long) pages * PAGE).fill((byte) 0);
            }
            ImageWriter writer = ImageWriter.into(image, LAYOUT).lanes(LANES).beside(files.suiting(image, LANES))
                    .startingAsBase();
            writer.dirty(new SparseReader(guest, populated, true), dirty);
            assertThat(mismatch(image, guest)).as("before it has taken over anything").isNotEqualTo(-1);
            writer.settle();
            assertThat(mismatch(image, guest)).isEqualTo(-1);
        }
    }

    /** With one lane only what is scattered is worth it, with several what is in long runs as well; a little never. */
    @RealFileSystems({FileSystemKind.BTRFS})
    void itIsDoneWhereItPays(Path on) throws IOException {
        assertThat(isWrittenBeside(on, 1, 1, SideFiles.LEAST_BYTES)).isTrue();
        assertThat(isWrittenBeside(on, 1, 5, SideFiles.LEAST_BYTES)).isFalse();
        assertThat(isWrittenBeside(on, 2, 5, SideFiles.LEAST_BYTES)).isTrue();
        assertThat(isWrittenBeside(on, 2, 1, SideFiles.LEAST_BYTES / 2)).isFalse();
    }

    private static boolean isWrittenBeside(Path on, int lanes, int runPages, long bytes) throws IOException {
        InMemoryPageReader guest = InMemoryPageReader.of(LAYOUT);
        DirtyBitmap dirty = DirtyBitmap.of(LAYOUT);
        for (long page = 0; dirty.count() * PAGE < bytes; page += runPages + 1) {
            guest.bytes().asSlice(page * PAGE, (long) runPages * PAGE).fill((byte) 1);
            dirty.mark(page * PAGE, (long) runPages * PAGE);
        }
        String name = "image-" + lanes + "-" + runPages + "-" + bytes;
        try (Descriptor image = file(POSIX, on, name); Nameless files = new Nameless(POSIX, on)) {
            ImageWriter writer = ImageWriter.into(image, LAYOUT).lanes(lanes).beside(files.suiting(image, lanes))
                    .startingAsZeros();
            writer.dirty(guest, dirty);
            boolean beside = mismatch(image, guest) >= 0;
            writer.settle();
            assertThat(mismatch(image, guest)).isEqualTo(-1);
            return beside;
        }
    }

    @RealFileSystems({FileSystemKind.BTRFS})
    void blocksThatCannotBeTakenOverAreAFailureThatSaysWhich(Path on) throws IOException {
        // One for each file when they are made, then those that take over.
        FaultyPosix faulty = FaultyPosix.host().at("ioctl", LANES + 1).fails(Errno.EINVAL);
        assertSettlingFails(on, faulty, "cannot take over", "bytes at", "EINVAL");
    }

    @RealFileSystems({FileSystemKind.BTRFS})
    void zerosThatCannotBecomeHolesAreAFailureThatSaysWhich(Path on) throws IOException {
        FaultyPosix faulty = FaultyPosix.host().at("fallocate", 1).fails(Errno.EOPNOTSUPP);
        assertSettlingFails(on, faulty, "cannot have a hole", "bytes at " + 3 * Lanes.CHUNK_BYTES / 2);
    }

    private static void assertSettlingFails(Path on, FaultyPosix faulty, String... said) throws IOException {
        InMemoryPageReader guest = InMemoryPageReader.of(LAYOUT);
        guest.bytes().fill((byte) 1);
        guest.bytes().asSlice(3 * Lanes.CHUNK_BYTES / 2, Zeros.SPARSE.smallestHoleBytes()).fill((byte) 0);
        DirtyBitmap dirty = DirtyBitmap.of(LAYOUT);
        dirty.mark(0, LAYOUT.lengthBytes());
        try (Descriptor image = file(faulty.posix(), on, "image");
                Nameless files = new Nameless(faulty.posix(), on)) {
            ImageWriter writer = ImageWriter.into(image, LAYOUT).lanes(LANES).beside(files.suiting(image, LANES))
                    .startingAsBase();
            writer.dirty(guest, dirty);
            assertThatThrownBy(writer::settle).isInstanceOf(SnapshotException.class)
                    .hasMessageContainingAll(said).hasMessageContaining(image.toString());
        }
        assertThat(faulty.openDescriptors()).isEmpty();
    }

    /** Files without a name, closed together. */
    private static final class Nameless implements AutoCloseable {
        private final Posix posix;
        private final Path directory;
        private final List<Descriptor> made = new ArrayList<>();

        Nameless(Posix posix, Path directory) {
            this.posix = posix;
            this.directory = directory;
        }

        Descriptor make() throws IOException {
            made.add(Descriptor.open(posix, directory, C.O_RDWR | C.O_TMPFILE, 0600));
            return made.getLast();
        }

        SideFiles suiting(Descriptor image, int lanes) throws IOException {
            image.truncate(LAYOUT.lengthBytes());
            SideFiles files = SideFiles.suiting(image, LAYOUT, lanes, this::make);
            assertThat(files.count()).isEqualTo(lanes);
            return files;
        }

        @Override
        public void close() throws IOException {
            for (Descriptor file : made) {
                file.close();
            }
        }
    }

    private static Descriptor file(Posix posix, Path directory, String name) throws IOException {
        return Descriptor.open(posix, directory.resolve(name), C.O_RDWR | C.O_CREAT | C.O_EXCL, 0600);
    }

    private static long mismatch(Descriptor image, InMemoryPageReader guest) throws IOException {
        try (Arena arena = Arena.ofConfined()) {
            MemorySegment content = arena.allocate(LAYOUT.lengthBytes(), PAGE);
            image.readFully(content, 0);
            return content.mismatch(guest.bytes());
        }
    }

    private static boolean dirtyMismatch(Descriptor image, InMemoryPageReader guest, DirtyBitmap dirty)
            throws IOException {
        boolean[] differs = {false};
        try (Arena arena = Arena.ofConfined()) {
            MemorySegment content = arena.allocate(LAYOUT.lengthBytes(), PAGE);
            dirty.runs(0, (offset, length) -> {
                image.readFully(content.asSlice(0, length), offset);
                differs[0] |= content.asSlice(0, length).mismatch(guest.bytes().asSlice(offset, length)) >= 0;
            });
        }
        return differs[0];
    }

    private static long dataBytes(Descriptor image) throws IOException {
        long[] bytes = {0};
        Extents.data(image, (offset, length) -> bytes[0] += length);
        return bytes[0];
    }
}
