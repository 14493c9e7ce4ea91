package io.microsnap.core.internal.file;

import static io.microsnap.testsupport.FileSystemKind.BTRFS;
import static io.microsnap.testsupport.FileSystemKind.EXT4;
import static io.microsnap.testsupport.FileSystemKind.XFS;
import static org.assertj.core.api.Assertions.assertThat;

import io.microsnap.core.internal.posix.Constants;
import io.microsnap.core.internal.posix.Descriptor;
import io.microsnap.core.internal.posix.Errno;
import io.microsnap.core.internal.posix.Posix;
import io.microsnap.core.testing.FaultyPosix;
import io.microsnap.core.testing.StandInMac;
import io.microsnap.testsupport.RealFileSystems;
import io.microsnap.testsupport.Seed;
import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.List;
import java.util.SplittableRandom;

/** What files do on macOS, tried on Linux's files with macOS's numbers and lack of calls. */
class MacFilesTest {
    private static final int BLOCK = 4096;
    private static final long PIECE = 64 << 10;

    private final Posix mac = StandInMac.host();
    private final Constants constants = mac.constants();

    @RealFileSystems({XFS, BTRFS})
    void aCloneTakesTheStagedNameAndReplacesInOneStep(Path directory) throws IOException {
        Path source = Files.write(directory.resolve("source"), SparseFiles.bytes(20 * BLOCK, 1));
        Path clone = Files.writeString(directory.resolve("clone"), "old");
        assertThat(new FileCopy(new Reflink()).cloneOrCopy(mac, source, clone).method()).isEqualTo(CopyMethod.CLONED);
        assertThat(clone).hasBinaryContent(SparseFiles.bytes(20 * BLOCK, 1));
        assertThat(SparseFiles.sharedBytes(clone)).isEqualTo(20 * BLOCK);
        assertThat(new Reflink().probe(mac, directory).isCloned()).isTrue();
        assertThat(SparseFiles.namesIn(directory)).containsExactly("clone", "source");
    }

    @RealFileSystems(EXT4)
    void withoutClonesEverythingIsReadAndZerosAreLeftOutBecauseHolesAreNotTrusted(Path directory) throws IOException {
        Path source = SparseFiles.make(directory.resolve("source"), 40 * PIECE + 7, (int) PIECE, 0, 9 * PIECE);
        FaultyPosix counting = FaultyPosix.over(mac);
        FileCopy files = new FileCopy(new Reflink());
        for (String name : List.of("first", "second")) {
            Path copy = directory.resolve(name);
            CopyResult result = files.copy(counting.posix(), source, copy, CopyOptions.DEFAULTS);
            assertThat(result.method()).isEqualTo(CopyMethod.ZEROS_LEFT_OUT);
            assertThat(result.dataBytes()).isEqualTo(2 * PIECE);
            assertThat(Files.mismatch(source, copy)).isEqualTo(-1);
            assertThat(SparseFiles.allocatedBytes(copy)).isEqualTo(SparseFiles.allocatedBytes(source));
        }
        assertThat(counting.calls("fclonefileat")).as("asked once").isEqualTo(1);
        assertThat(counting.calls("lseek")).isZero();
        assertThat(SparseFiles.namesIn(directory)).containsExactly("first", "second", "source");
    }

    @RealFileSystems(XFS)
    void durabilityIsAFullFlushOrABarrierAndAnFsyncWhereNeitherIsKnown(Path directory) throws IOException {
        assertThat(syncs(Durability.FULL, FaultyPosix.over(mac), directory))
                .containsExactly("fcntl " + constants.F_FULLFSYNC, "renameat2", "fcntl " + constants.F_FULLFSYNC);
        assertThat(syncs(Durability.DATA, FaultyPosix.over(mac), directory))
                .containsExactly("fcntl " + constants.F_BARRIERFSYNC, "renameat2");
        assertThat(syncs(Durability.NONE, FaultyPosix.over(mac), directory)).containsExactly("renameat2");
        FaultyPosix unknown = FaultyPosix.over(mac);
        unknown.every("fcntl").fails(Errno.ENOTSUP);
        assertThat(syncs(Durability.FULL, unknown, directory)).containsExactly(
                "fcntl " + constants.F_FULLFSYNC, "fsync", "renameat2", "fcntl " + constants.F_FULLFSYNC, "fsync");
    }

    @RealFileSystems(XFS)
    void aRangeThatIsNotWholeBlocksIsPunchedWithoutTouchingItsNeighbours(Path directory, Seed seed)
            throws IOException {
        SplittableRandom random = seed.random();
        int length = 32 * BLOCK + 77;
        byte[] expected = SparseFiles.bytes(length, seed.value());
        Path file = Files.write(directory.resolve("file"), expected);
        try (Descriptor open = Descriptor.open(mac, file, constants.O_RDWR, 0)) {
            for (int round = 0; round < 50; round++) {
                int from = random.nextInt(length + 10);
                int count = random.nextInt(6 * BLOCK);
                assertThat(Extents.punch(open, from, count)).isTrue();
                Arrays.fill(expected, Math.min(from, length), Math.min(from + count, length), (byte) 0);
                assertThat(file).as("%s, %d bytes punched at %d", seed, count, from).hasBinaryContent(expected);
            }
            assertThat(Extents.punch(open, 0, 1L << 40)).isTrue();
            assertThat(SparseFiles.allocatedBytes(file)).as("all but the odd end").isEqualTo(BLOCK);
        }
    }

    private List<String> syncs(Durability durability, FaultyPosix recording, Path directory) throws IOException {
        List<String> calls = new ArrayList<>();
        recording.before(call -> {
            if (call.name().equals("fcntl")) {
                calls.add("fcntl " + call.arguments().get(1));
            } else if (call.name().contains("sync") || call.name().startsWith("rename")) {
                calls.add(call.name());
            }
        });
        try (StagedFile staged = StagedFile.create(recording.posix(), directory.resolve("file"))) {
            staged.commit(durability);
        }
        return calls;
    }
}
