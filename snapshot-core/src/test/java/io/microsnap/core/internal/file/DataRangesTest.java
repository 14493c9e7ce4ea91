package io.microsnap.core.internal.file;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;

import io.microsnap.core.SnapshotException;
import io.microsnap.core.internal.posix.Descriptor;
import io.microsnap.core.testing.FaultyPosix;
import io.microsnap.testsupport.RealFileSystems;
import io.microsnap.testsupport.Seed;
import java.io.IOException;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.List;
import java.util.SplittableRandom;

final class DataRangesTest {
    private static final int PIECE = 65536;
    private static final long PIECES = 64;

    private final FaultyPosix calls = FaultyPosix.host();

    @RealFileSystems
    void whateverIsAskedTheAnswerIsThatOfTheFilesystem(Path directory, Seed seed) throws IOException {
        SplittableRandom random = seed.random();
        long[] data = random.longs(PIECES / 2, 0, PIECES).sorted().distinct().map(piece -> piece * PIECE).toArray();
        Path path = SparseFiles.make(directory.resolve("file"), PIECES * PIECE, PIECE, data);
        try (Descriptor file = SparseFiles.openForReading(path)) {
            DataRanges ranges = new DataRanges(file);
            for (int question = 0; question < 500; question++) {
                long offset = random.nextLong(PIECES * PIECE);
                long length = random.nextLong(PIECES * PIECE - offset + 1);
                List<String> expected = new ArrayList<>();
                Extents.data(file, offset, length, (at, bytes) -> expected.add(at + "+" + bytes));
                assertThat(within(ranges, offset, length)).as("%d+%d", offset, length).isEqualTo(expected);
            }
        }
    }

    @RealFileSystems
    void theEndOfARangeIsLookedForOnceHoweverManyOfItsPartsAreAskedAbout(Path directory) throws IOException {
        Path path = SparseFiles.make(directory.resolve("file"), PIECES * PIECE, (int) (PIECES / 2 * PIECE),
                PIECES / 2 * PIECE);
        try (Descriptor file = open(path)) {
            DataRanges ranges = new DataRanges(file);
            // The hole in front of it may be filled at any time, so each of its parts is asked about, but no further.
            assertThat(callsFor(ranges, 0)).isEqualTo((int) PIECES / 2);
            assertThat(callsFor(ranges, PIECES / 2)).as("where it starts, where it ends").isEqualTo(2);
        }
    }

    /** Asks about half of the pieces, one by one. */
    private int callsFor(DataRanges ranges, long first) throws IOException {
        int before = calls.calls("lseek");
        for (long piece = first; piece < first + PIECES / 2; piece++) {
            assertThat(within(ranges, piece * PIECE, PIECE)).hasSize(first == 0 ? 0 : 1);
        }
        return calls.calls("lseek") - before;
    }

    @RealFileSystems
    void dataThatIsWrittenMeanwhileIsFound(Path directory) throws IOException {
        Path path = SparseFiles.make(directory.resolve("file"), PIECES * PIECE, PIECE, PIECE);
        try (Descriptor file = open(path)) {
            DataRanges ranges = new DataRanges(file);
            assertThat(within(ranges, 0, PIECES * PIECE)).containsExactly(PIECE + "+" + PIECE);
            SparseFiles.make(path, PIECES * PIECE, PIECE, 0, 2 * PIECE);
            assertThat(within(ranges, 0, PIECES * PIECE)).containsExactly("0+" + 3 * PIECE);
        }
    }

    @RealFileSystems
    void aFileThatWasTruncatedDoesNotReachAsFarAsAsked(Path directory) throws IOException {
        Path path = SparseFiles.make(directory.resolve("file"), PIECES * PIECE - 1, PIECE, 0);
        try (Descriptor file = open(path)) {
            DataRanges ranges = new DataRanges(file);
            ranges.requireReach(0, PIECES * PIECE);
            file.truncate(PIECE);
            ranges.requireReach(0, PIECE);
            assertThatThrownBy(() -> ranges.requireReach(0, PIECE + 1)).isInstanceOf(SnapshotException.class)
                    .hasMessageContaining("truncated");
        }
    }

    private Descriptor open(Path path) throws IOException {
        return Descriptor.open(calls.posix(), path, calls.posix().constants().O_RDWR, 0);
    }

    private static List<String> within(DataRanges ranges, long offset, long lengthBytes) throws IOException {
        List<String> found = new ArrayList<>();
        ranges.within(offset, lengthBytes, (at, length) -> found.add(at + "+" + length));
        return found;
    }
}
