package io.microsnap.core.internal.file;

import static io.microsnap.core.internal.file.SparseFiles.dataRanges;
import static io.microsnap.testsupport.FileSystemKind.BTRFS;
import static io.microsnap.testsupport.FileSystemKind.EXT4;
import static io.microsnap.testsupport.FileSystemKind.TMPFS;
import static io.microsnap.testsupport.FileSystemKind.XFS;
import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;

import io.microsnap.core.internal.posix.Descriptor;
import io.microsnap.core.internal.posix.Errno;
import io.microsnap.core.internal.posix.Posix;
import io.microsnap.core.internal.posix.SystemCallException;
import io.microsnap.core.testing.FaultyPosix;
import io.microsnap.testsupport.Effort;
import io.microsnap.testsupport.FileSystemKind;
import io.microsnap.testsupport.RealFileSystems;
import io.microsnap.testsupport.Seed;
import java.io.IOException;
import java.lang.foreign.Arena;
import java.lang.foreign.MemorySegment;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.BitSet;
import java.util.List;
import java.util.SplittableRandom;
import java.util.stream.LongStream;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;

class ExtentsTest {
    private static final int BLOCK = 4096;
    private static final int PIECE = 64 << 10;
    private static final int MANY = 100_000;

    private final Posix posix = Posix.host();
    @TempDir
    Path temporary;

    @RealFileSystems
    void emptyAllHoleAndTrailingHoleFilesAreToldApart(Path directory) throws IOException {
        assertThat(dataRanges(SparseFiles.make(directory.resolve("empty"), 0, 0))).isEmpty();
        assertThat(dataRanges(SparseFiles.make(directory.resolve("hole"), 1L << 40, 0))).isEmpty();
        Path trailing = SparseFiles.make(directory.resolve("trailing"), 1L << 40, PIECE, 2L * PIECE);
        sync(trailing);
        assertThat(dataRanges(trailing)).containsExactly(2 * PIECE + "+" + PIECE);
        Path odd = SparseFiles.make(directory.resolve("odd"), 100, 100, 0);
        assertThat(dataRanges(odd)).as("clipped to the file's end").containsExactly("0+100");
    }

    @RealFileSystems
    void rangesAreClippedToThePartThatWasAsked(Path directory) throws IOException {
        Path file = SparseFiles.make(directory.resolve("file"), 16L * PIECE, PIECE, 2L * PIECE, 5L * PIECE);
        sync(file);
        try (Descriptor open = SparseFiles.openForReading(file)) {
            assertThat(ranges(open, 0, 2L * PIECE)).isEmpty();
            assertThat(ranges(open, 2L * PIECE + 1, 10)).containsExactly(2 * PIECE + 1 + "+10");
            assertThat(ranges(open, 2L * PIECE + 7, 4L * PIECE))
                    .containsExactly(2 * PIECE + 7 + "+" + (PIECE - 7), 5 * PIECE + "+" + PIECE);
            assertThat(ranges(open, 5L * PIECE, 0)).isEmpty();
            assertThat(ranges(open, 15L * PIECE, PIECE)).isEmpty();
        }
    }

    @RealFileSystems
    void theFirstDataBehindAnOffsetIsNamedAsFarAsItGoes(Path directory) throws IOException {
        Path file = SparseFiles.make(
                directory.resolve("file"), 16L * PIECE, PIECE, 2L * PIECE, 3L * PIECE, 15L * PIECE);
        sync(file);
        try (Descriptor open = SparseFiles.openForReading(file)) {
            assertThat(firstData(open, 0)).containsExactly(2 * PIECE + "+" + 2 * PIECE);
            assertThat(firstData(open, 3L * PIECE + 7)).containsExactly(3 * PIECE + 7 + "+" + (PIECE - 7));
            assertThat(firstData(open, 4L * PIECE)).containsExactly(15 * PIECE + "+" + PIECE);
            assertThat(firstData(open, 16L * PIECE)).isEmpty();
            assertThat(firstData(open, 99L * PIECE)).isEmpty();
        }
    }

    @Test
    void whereItCannotBeToldTheRestOfTheFileIsTheFirstData() throws IOException {
        Path file = SparseFiles.make(temporary.resolve("file"), 16L * PIECE, PIECE, 2L * PIECE);
        FaultyPosix faulty = FaultyPosix.host();
        for (int call = 1; call <= 2; call++) {
            faulty.at("lseek", faulty.calls("lseek") + call).fails(Errno.EINVAL);
            try (Descriptor open = Descriptor.open(faulty.posix(), file, posix.constants().O_RDONLY, 0)) {
                assertThat(firstData(open, PIECE)).containsExactly(PIECE + "+" + 15 * PIECE);
            }
        }
    }

    private static List<String> firstData(Descriptor file, long offset) throws IOException {
        List<String> ranges = new ArrayList<>();
        Extents.firstData(file, offset, Long.MAX_VALUE, (at, length) -> ranges.add(at + "+" + length));
        return ranges;
    }

    @RealFileSystems
    void aHundredThousandExtentsAreAllFound(Path directory, FileSystemKind kind) throws IOException {
        // Btrfs takes longer to make them than the rest of the tests together.
        int many = kind == BTRFS ? Effort.choose(1_000, 10_000, MANY) : MANY;
        Path file = directory.resolve("file");
        SparseFiles.make(file, 2L * many * BLOCK, 0);
        try (Descriptor open = SparseFiles.openForWriting(file); Arena arena = Arena.ofConfined()) {
            MemorySegment block = arena.allocate(BLOCK).fill((byte) 1);
            // Downwards: allocation ahead of a growing file would fill the holes.
            for (long index = many - 1L; index >= 0; index--) {
                open.writeFully(block, (2 * index + 1) * BLOCK);
            }
            long[] found = new long[2];
            assertThat(Extents.data(open, (offset, lengthBytes) -> {
                assertThat(offset).isEqualTo((2 * found[0] + 1) * BLOCK);
                found[0]++;
                found[1] += lengthBytes;
            })).isTrue();
            assertThat(found).containsExactly(many, (long) many * BLOCK);
        }
    }

    @RealFileSystems
    void moreExtentsThanFitOneAnswerAreAllSummedUp(Path directory) throws IOException {
        int extents = 1500;
        long[] offsets = LongStream.range(0, extents).map(index -> (2 * (extents - index) - 1) * PIECE).toArray();
        Path file = SparseFiles.make(directory.resolve("file"), 2L * extents * PIECE, BLOCK, offsets);
        try (Descriptor open = SparseFiles.openForReading(file)) {
            Extents.summary(open).ifPresent(summary -> {
                assertThat(summary.extents()).isEqualTo(extents);
                assertThat(summary.mappedBytes()).isEqualTo((long) extents * BLOCK);
                assertThat(summary.exclusiveBytes()).isEqualTo((long) extents * BLOCK);
            });
        }
    }

    @RealFileSystems
    void lookingWorksOnAReadOnlyDescriptorAndChangesNothing(Path directory) throws IOException {
        Path file = SparseFiles.make(directory.resolve("file"), 16L * PIECE, PIECE, 2L * PIECE, 5L * PIECE);
        Files.setAttribute(file, "unix:mode", 0400);
        sync(file);
        Object changed = Files.getAttribute(file, "unix:ctime");
        long allocated = SparseFiles.allocatedBytes(file);
        for (int repetition = 0; repetition < 2; repetition++) {
            try (Descriptor open = SparseFiles.openForReading(file)) {
                assertThat(ranges(open, 0, 16L * PIECE)).hasSize(2);
                Extents.summary(open);
                assertThatThrownBy(() -> Extents.punch(open, 0, PIECE)).isInstanceOf(IOException.class)
                        .hasMessageContaining(file.toString()).hasMessageContaining("EBADF");
            }
        }
        assertThat(Files.getAttribute(file, "unix:ctime")).isEqualTo(changed);
        assertThat(SparseFiles.allocatedBytes(file)).isEqualTo(allocated);
    }

    @RealFileSystems({EXT4, XFS, BTRFS})
    void extentsAreCountedAndNoFurtherThanTheLimit(Path directory, FileSystemKind kind) throws IOException {
        int extents = 700;
        long[] offsets = LongStream.range(0, extents).map(index -> 3 * index * PIECE).toArray();
        Path file = SparseFiles.make(directory.resolve("file"), 3L * extents * PIECE, BLOCK, offsets);
        sync(file);
        FaultyPosix watched = FaultyPosix.host();
        try (Descriptor open = Descriptor.open(watched.posix(), file, posix.constants().O_RDONLY, 0)) {
            assertThat(Extents.count(open, Long.MAX_VALUE)).hasValue(extents);
            assertThat(Extents.count(open, extents)).hasValue(extents);
            int before = watched.calls("ioctl");
            assertThat(Extents.count(open, 100)).hasValue(kind == XFS ? extents : 101);
            assertThat(watched.calls("ioctl") - before).isEqualTo(1);
        }
    }

    @RealFileSystems(TMPFS)
    void whereExtentsAreNotToldTheyAreNotCounted(Path directory) throws IOException {
        try (Descriptor open = SparseFiles.openForReading(SparseFiles.make(directory.resolve("f"), PIECE, BLOCK, 0))) {
            assertThat(Extents.count(open, 1)).isEmpty();
        }
    }

    @RealFileSystems({XFS, BTRFS})
    void whatACloneSharesIsToldFromWhatItHasForItself(Path directory) throws IOException {
        Path source = Files.write(directory.resolve("source"), SparseFiles.bytes(16 * PIECE, 1));
        Path clone = directory.resolve("clone");
        assertThat(new Reflink().clone(posix, source, clone, Durability.FULL).isCloned()).isTrue();
        try (Descriptor open = SparseFiles.openForWriting(clone); Arena arena = Arena.ofConfined()) {
            assertThat(Extents.summary(open).orElseThrow())
                    .returns(16L * PIECE, ExtentSummary::sharedBytes).returns(0L, ExtentSummary::exclusiveBytes);
            open.writeFully(arena.allocate(PIECE).fill((byte) 9), 4L * PIECE);
            assertThat(Extents.summary(open).orElseThrow())
                    .returns(15L * PIECE, ExtentSummary::sharedBytes)
                    .returns((long) PIECE, ExtentSummary::exclusiveBytes)
                    .returns(16L * PIECE, ExtentSummary::mappedBytes);
        }
    }

    @RealFileSystems({EXT4, TMPFS})
    void withoutClonesNothingIsSharedOrItIsUnknown(Path directory) throws IOException {
        Path file = Files.write(directory.resolve("file"), SparseFiles.bytes(PIECE, 1));
        try (Descriptor open = SparseFiles.openForReading(file)) {
            Extents.summary(open).ifPresent(summary -> assertThat(summary.sharedBytes()).isZero());
        }
    }

    @RealFileSystems
    void aPunchedRangeReadsAsZerosAndNothingElseChanges(Path directory, Seed seed) throws IOException {
        SplittableRandom random = seed.random();
        int length = 32 * BLOCK + 77;
        byte[] expected = SparseFiles.bytes(length, seed.value());
        Path file = Files.write(directory.resolve("file"), expected);
        try (Descriptor open = SparseFiles.openForWriting(file)) {
            for (int round = 0; round < 20; round++) {
                int from = random.nextInt(length + 10);
                int count = random.nextInt(6 * BLOCK);
                assertThat(Extents.punch(open, from, count)).isTrue();
                Arrays.fill(expected, Math.min(from, length), Math.min(from + count, length), (byte) 0);
                assertThat(file).as("%s, %d bytes punched at %d", seed, count, from).hasBinaryContent(expected);
            }
            assertThat(Extents.punch(open, 0, 1L << 40)).isTrue();
            assertThat(open.sizeBytes()).isEqualTo(length);
            assertThat(ranges(open, 0, length)).isEmpty();
        }
    }

    @Test
    void aPunchThatTheFilesystemDoesNotKnowLeavesTheFileAndSaysSo() throws IOException {
        Path file = Files.write(temporary.resolve("file"), SparseFiles.bytes(PIECE, 1));
        FaultyPosix faulty = FaultyPosix.host();
        faulty.at("fallocate", 1).fails(Errno.EOPNOTSUPP);
        faulty.at("fallocate", 2).isInterrupted();
        faulty.at("fallocate", 4).fails(Errno.EIO);
        try (Descriptor open = Descriptor.open(faulty.posix(), file, posix.constants().O_RDWR, 0)) {
            assertThat(Extents.punch(open, 0, BLOCK)).isFalse();
            assertThat(file).hasBinaryContent(SparseFiles.bytes(PIECE, 1));
            assertThat(Extents.punch(open, 0, BLOCK)).isTrue();
            assertThatThrownBy(() -> Extents.punch(open, BLOCK, BLOCK)).isInstanceOf(SystemCallException.class)
                    .hasMessageContaining("of 4096 bytes at 4096").hasMessageContaining("EIO");
        }
    }

    @RealFileSystems
    void randomFilesAreDescribedExactly(Path directory, Seed seed) throws IOException {
        SplittableRandom random = seed.random();
        int pieces = 64;
        BitSet data = new BitSet();
        for (int index = 0; index < pieces; index++) {
            data.set(index, random.nextBoolean());
        }
        long[] offsets = data.stream().mapToLong(index -> (long) index * PIECE).toArray();
        Path file = SparseFiles.make(directory.resolve("file"), (long) pieces * PIECE, PIECE, offsets);
        sync(file);
        List<String> expected = new ArrayList<>();
        for (int from = data.nextSetBit(0); from >= 0; from = data.nextSetBit(data.nextClearBit(from))) {
            int to = Math.min(data.nextClearBit(from), pieces);
            expected.add((long) from * PIECE + "+" + (long) (to - from) * PIECE);
        }
        assertThat(dataRanges(file)).as(seed.toString()).isEqualTo(expected);
    }

    @Test
    void whereTheFilesystemCannotTellTheRestIsOneRange() throws IOException {
        Path file = SparseFiles.make(temporary.resolve("file"), 16L * PIECE, PIECE, 2L * PIECE, 5L * PIECE);
        sync(file);
        for (Errno errno : List.of(Errno.EINVAL, Errno.ENOTSUP, Errno.ENOSYS, Errno.ESPIPE)) {
            assertThat(told(file, 1, errno)).containsExactly("0+" + 16 * PIECE, "false");
            assertThat(told(file, 2, errno)).containsExactly("0+" + 16 * PIECE, "false");
            assertThat(told(file, 3, errno)).containsExactly(
                    2 * PIECE + "+" + PIECE, 3 * PIECE + "+" + 13 * PIECE, "false");
        }
        assertThat(told(file, 1, Errno.EINTR))
                .containsExactly(2 * PIECE + "+" + PIECE, 5 * PIECE + "+" + PIECE, "true");
        assertThatThrownBy(() -> told(file, 1, Errno.EIO)).isInstanceOf(SystemCallException.class)
                .hasMessageContaining(file.toString()).hasMessageContaining("EIO");
    }

    @Test
    void aRangeThatNoFileHasIsAMistake() throws IOException {
        Path file = SparseFiles.make(temporary.resolve("file"), PIECE, PIECE, 0);
        try (Descriptor open = SparseFiles.openForWriting(file)) {
            for (long[] range : new long[][] {{-1, 1}, {0, -1}, {Long.MAX_VALUE, 1}, {1, Long.MAX_VALUE}}) {
                assertThatThrownBy(() -> Extents.data(open, range[0], range[1], (offset, length) -> { }))
                        .isInstanceOf(IllegalArgumentException.class).hasMessageContaining(file.toString())
                        .hasMessageContaining(Long.toString(range[0])).hasMessageContaining(Long.toString(range[1]));
                assertThatThrownBy(() -> Extents.punch(open, range[0], range[1]))
                        .isInstanceOf(IllegalArgumentException.class);
            }
        }
    }

    private List<String> told(Path file, int position, Errno errno) throws IOException {
        FaultyPosix faulty = FaultyPosix.host();
        faulty.at("lseek", position).fails(errno);
        List<String> told = new ArrayList<>();
        try (Descriptor open = Descriptor.open(faulty.posix(), file, posix.constants().O_RDONLY, 0)) {
            boolean known = Extents.data(open, (offset, lengthBytes) -> told.add(offset + "+" + lengthBytes));
            told.add(Boolean.toString(known));
        }
        return told;
    }

    private static List<String> ranges(Descriptor file, long offset, long lengthBytes) throws IOException {
        List<String> ranges = new ArrayList<>();
        Extents.data(file, offset, lengthBytes, (at, length) -> ranges.add(at + "+" + length));
        return ranges;
    }

    /** Some filesystems tell holes exactly only of what has its place on disk. */
    private static void sync(Path file) throws IOException {
        try (Descriptor open = SparseFiles.openForReading(file)) {
            open.sync();
        }
    }
}
