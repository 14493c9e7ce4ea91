package io.microsnap.core.internal.file;

import static io.microsnap.core.internal.file.SparseFiles.openForReading;
import static io.microsnap.core.internal.file.SparseFiles.openForWriting;
import static io.microsnap.testsupport.FileSystemKind.BTRFS;
import static io.microsnap.testsupport.FileSystemKind.EXT4;
import static io.microsnap.testsupport.FileSystemKind.TMPFS;
import static io.microsnap.testsupport.FileSystemKind.XFS;
import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;

import io.microsnap.core.internal.posix.Constants;
import io.microsnap.core.internal.posix.Descriptor;
import io.microsnap.core.internal.posix.Errno;
import io.microsnap.core.internal.posix.FileSystemStat;
import io.microsnap.core.internal.posix.Posix;
import io.microsnap.core.internal.posix.SystemCallException;
import io.microsnap.core.testing.FaultyPosix;
import io.microsnap.testsupport.FileSystemKind;
import io.microsnap.testsupport.RealFileSystems;
import java.io.IOException;
import java.lang.foreign.Arena;
import java.lang.foreign.MemorySegment;
import java.nio.file.FileAlreadyExistsException;
import java.nio.file.Files;
import java.nio.file.NoSuchFileException;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.List;
import java.util.Map;
import java.util.TreeMap;
import java.util.concurrent.ExecutorService;
import java.util.concurrent.Executors;
import java.util.concurrent.Future;
import java.util.stream.Collectors;

class ReflinkTest {
    private static final int BLOCK = 4096;

    private final Posix posix = Posix.host();
    private final Constants constants = posix.constants();
    private final Reflink reflink = new Reflink();

    @RealFileSystems({XFS, BTRFS})
    void aCloneHasItsOwnInodeAndNeitherSideSeesTheOthersWrites(Path directory) throws IOException {
        Path source = Files.write(directory.resolve("source"), bytes(1 << 20));
        Path clone = directory.resolve("clone");
        assertThat(reflink.clone(posix, source, clone, Durability.FULL)).isEqualTo(new ReflinkOutcome.Cloned());
        assertThat(clone).hasSameBinaryContentAs(source);
        assertThat(Files.getAttribute(clone, "unix:ino")).isNotEqualTo(Files.getAttribute(source, "unix:ino"));
        assertThat(SparseFiles.sharedBytes(clone)).isEqualTo(1 << 20);
        Files.writeString(clone, "changed");
        assertThat(source).hasBinaryContent(bytes(1 << 20));
    }

    @RealFileSystems({XFS, BTRFS})
    void whatACloneStillHasInCommonWithItsSourceIsNamed(Path directory) throws IOException {
        Path source = Files.write(directory.resolve("source"), bytes(1 << 20));
        Path copy = Files.write(directory.resolve("copy"), bytes(1 << 20));
        Path clone = directory.resolve("clone");
        reflink.clone(posix, source, clone, Durability.FULL);
        try (Descriptor changed = Descriptor.open(posix, clone, constants.O_RDWR, 0);
                Descriptor original = openForReading(source); Descriptor other = openForReading(copy);
                Arena arena = Arena.ofConfined()) {
            changed.writeFully(arena.allocate(64 << 10), 128 << 10);
            assertThat(inCommon(changed, original))
                    .isEqualTo((128 << 10) + " bytes at 0, " + (832 << 10) + " bytes at " + (192 << 10));
            assertThat(inCommon(original, other)).as("equal bytes in blocks of their own").isEmpty();
        }
    }

    @RealFileSystems({EXT4, TMPFS})
    void filesWithBlocksOfTheirOwnHaveNoneInCommon(Path directory) throws IOException {
        Path one = Files.write(directory.resolve("one"), bytes(1 << 20));
        Path other = Files.write(directory.resolve("other"), bytes(1 << 20));
        try (Descriptor left = openForReading(one); Descriptor right = openForReading(other)) {
            assertThat(inCommon(left, right)).isEmpty();
        }
    }

    /** Ranges that touch are joined: how a filesystem cuts its extents is its own affair. */
    private static String inCommon(Descriptor left, Descriptor right) throws IOException {
        TreeMap<Long, Long> joined = new TreeMap<>();
        Extents.inCommon(left, right, (offset, length) -> {
            Map.Entry<Long, Long> last = joined.lastEntry();
            if (last != null && last.getKey() + last.getValue() == offset) {
                joined.put(last.getKey(), last.getValue() + length);
            } else {
                joined.put(offset, length);
            }
        });
        return joined.entrySet().stream().map(range -> range.getValue() + " bytes at " + range.getKey())
                .collect(Collectors.joining(", "));
    }

    @RealFileSystems({EXT4, TMPFS})
    void aFilesystemWithoutClonesIsUnsupportedAndNothingIsMade(Path directory) throws IOException {
        Path source = Files.writeString(directory.resolve("source"), "content");
        assertThat(reflink.clone(posix, source, directory.resolve("clone"), Durability.NONE))
                .isInstanceOf(ReflinkOutcome.Unsupported.class);
        assertThat(SparseFiles.namesIn(directory)).containsExactly("source");
    }

    @RealFileSystems
    void aMissingSourceVanishedAndAMissingDirectoryIsAnErrorThatNamesIt(Path directory) throws IOException {
        assertThat(reflink.clone(posix, directory.resolve("none"), directory.resolve("clone"), Durability.NONE))
                .isEqualTo(new ReflinkOutcome.SourceVanished());
        assertThat(SparseFiles.namesIn(directory)).isEmpty();
        Path source = Files.writeString(directory.resolve("source"), "content");
        assertThatThrownBy(() -> reflink.clone(posix, source, directory.resolve("none/clone"), Durability.NONE))
                .isInstanceOf(NoSuchFileException.class).hasMessageContaining(directory.resolve("none").toString());
    }

    @RealFileSystems
    void aProbeTellsAndLeavesNothingBehind(
            Path directory, FileSystemKind kind) throws IOException {
        assertThat(reflink.probe(posix, directory).isCloned()).isEqualTo(kind.reflinks());
        assertThat(SparseFiles.namesIn(directory)).isEmpty();
    }

    @RealFileSystems({XFS, BTRFS})
    void aNameThatIsTakenIsNeverTouched(Path directory) throws IOException {
        Path source = Files.writeString(directory.resolve("source"), "content");
        Path taken = Files.writeString(directory.resolve("taken"), "precious");
        assertThatThrownBy(() -> reflink.clone(posix, source, taken, Durability.NONE))
                .isInstanceOf(FileAlreadyExistsException.class);
        assertThat(taken).hasContent("precious");
        assertThat(SparseFiles.namesIn(directory)).containsExactlyInAnyOrder("source", "taken");
    }

    @RealFileSystems({XFS, BTRFS})
    void whatCannotBeClonedIsRememberedForThatPairOfDevicesOnly(Path directory) throws IOException {
        Path source = Files.write(directory.resolve("source"), bytes(BLOCK));
        Path elsewhere = Files.createTempDirectory(Path.of("/dev/shm"), "microsnap");
        FaultyPosix counting = FaultyPosix.host();
        try {
            for (int attempt = 0; attempt < 3; attempt++) {
                assertThat(reflink.clone(counting.posix(), source, elsewhere.resolve("clone"), Durability.NONE))
                        .isInstanceOfSatisfying(ReflinkOutcome.Unsupported.class,
                                unsupported -> assertThat(unsupported.errno()).isEqualTo(Errno.EXDEV));
            }
            assertThat(counting.calls("ioctl")).as("the system was asked once").isEqualTo(1);
            assertThat(reflink.clone(counting.posix(), source, directory.resolve("clone"), Durability.NONE))
                    .isEqualTo(new ReflinkOutcome.Cloned());
        } finally {
            Files.delete(elsewhere);
        }
    }

    @RealFileSystems({XFS, BTRFS})
    void onlyWhatIsTrueOfTheFilesystemIsRemembered(Path directory) throws IOException {
        Path source = Files.write(directory.resolve("source"), bytes(BLOCK));
        for (Errno errno : List.of(Errno.EOPNOTSUPP, Errno.ENOTTY, Errno.ENOSYS)) {
            assertThat(cloneAfterA(errno, source, directory)).as(errno.name())
                    .isInstanceOf(ReflinkOutcome.Unsupported.class);
        }
        for (Errno errno : List.of(Errno.EINVAL, Errno.ESTALE, Errno.EXDEV)) {
            assertThat(cloneAfterA(errno, source, directory)).as(errno + " was about one file, or one mount")
                    .isEqualTo(new ReflinkOutcome.Cloned());
        }
    }

    @RealFileSystems({XFS, BTRFS})
    void aSourceThatGoesStaleVanishedAndEveryOtherFailureNamesBothFiles(Path directory) throws IOException {
        Path source = Files.write(directory.resolve("source"), bytes(BLOCK));
        Path clone = directory.resolve("clone");
        FaultyPosix stale = FaultyPosix.host();
        stale.at("ioctl", 1).fails(Errno.ESTALE);
        assertThat(reflink.clone(stale.posix(), source, clone, Durability.NONE))
                .isEqualTo(new ReflinkOutcome.SourceVanished());
        for (Errno errno : List.of(Errno.EIO, Errno.ENOSPC, Errno.EPERM, Errno.EBADF, Errno.ENOENT)) {
            FaultyPosix faulty = FaultyPosix.host();
            faulty.at("ioctl", 1).fails(errno);
            assertThatThrownBy(() -> reflink.clone(faulty.posix(), source, clone, Durability.NONE)).as(errno.name())
                    .isInstanceOf(IOException.class)
                    .hasMessageContaining(source.toString()).hasMessageContaining(clone.toString());
            assertThat(faulty.openDescriptors()).isEmpty();
        }
        assertThat(SparseFiles.namesIn(directory)).containsExactly("source");
    }

    @RealFileSystems({XFS, BTRFS})
    void aRangeIsClonedInPlaceAndNothingBesideIt(Path directory) throws IOException {
        byte[] from = SparseFiles.bytes(8 * BLOCK, 1);
        byte[] to = SparseFiles.bytes(8 * BLOCK, 2);
        Path source = Files.write(directory.resolve("source"), from);
        Path destination = Files.write(directory.resolve("destination"), to);
        try (Descriptor one = openForReading(source);
                Descriptor other = openForWriting(destination)) {
            assertThat(reflink.cloneRange(one, 2 * BLOCK, other, BLOCK, 3 * BLOCK).isCloned()).isTrue();
            System.arraycopy(from, 2 * BLOCK, to, BLOCK, 3 * BLOCK);
            assertThat(destination).hasBinaryContent(to);
            assertThat(reflink.cloneRange(one, 0, other, 0, 0).isCloned()).as("nothing, not all the rest").isTrue();
            assertThat(destination).hasBinaryContent(to);
            assertThat(reflink.cloneRange(one, 1, other, 1, BLOCK)).as("inside a block")
                    .isInstanceOf(ReflinkOutcome.Unsupported.class);
            assertThat(reflink.cloneRange(one, 0, other, 4 * BLOCK, BLOCK).isCloned())
                    .as("EINVAL is not remembered").isTrue();
            System.arraycopy(from, 0, to, 4 * BLOCK, BLOCK);
            assertThat(destination).hasBinaryContent(to);
            for (long[] range : new long[][] {{-1, 1}, {0, -1}, {Long.MAX_VALUE, 1}}) {
                assertThatThrownBy(() -> reflink.cloneRange(one, range[0], other, 0, range[1]))
                        .isInstanceOf(IllegalArgumentException.class).hasMessageContaining(source.toString());
                assertThatThrownBy(() -> reflink.cloneRange(one, 0, other, range[0], range[1]))
                        .isInstanceOf(IllegalArgumentException.class);
            }
        }
    }

    @RealFileSystems({XFS, BTRFS})
    void equalRangesAreSharedAndDifferentOnesLeftAlone(Path directory) throws IOException {
        int length = 40 * BLOCK + 100;
        byte[] content = SparseFiles.bytes(length, 1);
        Path source = Files.write(directory.resolve("source"), content);
        Path equal = Files.write(directory.resolve("equal"), content);
        byte[] changed = content.clone();
        changed[9 * BLOCK + 5]++;
        Path different = Files.write(directory.resolve("different"), changed);
        Object modified = Files.getAttribute(equal, "unix:ctime");
        try (Descriptor one = openForReading(source);
                Descriptor same = openForReading(equal);
                Descriptor other = openForReading(different)) {
            one.sync();
            assertThat(reflink.dedupeRange(one, 0, same, 0, length)).as("its odd end included")
                    .isEqualTo(new DedupeOutcome.Shared(length));
            assertThat(reflink.dedupeRange(one, 0, other, 0, length))
                    .isInstanceOf(DedupeOutcome.Different.class);
            assertThat(reflink.dedupeRange(one, 0, other, 0, 9 * BLOCK)).isEqualTo(new DedupeOutcome.Shared(9 * BLOCK));
            assertThat(reflink.dedupeRange(one, 1, other, 1, BLOCK)).isInstanceOf(DedupeOutcome.Unsupported.class);
        }
        assertThat(SparseFiles.sharedBytes(equal)).isGreaterThanOrEqualTo(40 * BLOCK);
        assertThat(SparseFiles.sharedBytes(different)).isEqualTo(9 * BLOCK);
        assertThat(equal).hasBinaryContent(content);
        assertThat(different).hasBinaryContent(changed);
        assertThat(Files.getAttribute(equal, "unix:ctime")).isEqualTo(modified);
    }

    @RealFileSystems({XFS, BTRFS})
    void sharingGoesOnAfterAShortOrInterruptedCallAndGivesUpWithoutProgress(Path directory) throws IOException {
        int length = 40 << 20;
        Path source = Files.write(directory.resolve("source"), SparseFiles.bytes(length, 1));
        Path equal = Files.copy(source, directory.resolve("equal"));
        FaultyPosix faulty = FaultyPosix.host();
        faulty.at("ioctl", 2).isInterrupted();
        try (Descriptor one = Descriptor.open(faulty.posix(), source, constants.O_RDONLY, 0);
                Descriptor same = Descriptor.open(faulty.posix(), equal, constants.O_RDONLY, 0)) {
            one.sync();
            same.sync();
            assertThat(reflink.dedupeRange(one, 0, same, 0, length)).isEqualTo(new DedupeOutcome.Shared(length));
            assertThat(faulty.calls("ioctl")).isGreaterThan(3);
        }
        FaultyPosix failing = FaultyPosix.host();
        failing.at("ioctl", 2).fails(Errno.EIO);
        try (Descriptor one = Descriptor.open(failing.posix(), source, constants.O_RDONLY, 0);
                Descriptor same = Descriptor.open(failing.posix(), equal, constants.O_RDONLY, 0)) {
            assertThatThrownBy(() -> reflink.dedupeRange(one, 0, same, 0, length))
                    .isInstanceOf(SystemCallException.class).hasMessageContaining(equal.toString())
                    .hasMessageContaining("at " + (16 << 20)).hasMessageContaining(source.toString());
        }
    }

    @RealFileSystems({EXT4, TMPFS})
    void withoutClonesNothingIsSharedEither(Path directory) throws IOException {
        Path source = Files.write(directory.resolve("source"), bytes(BLOCK));
        Path equal = Files.write(directory.resolve("equal"), bytes(BLOCK));
        try (Descriptor one = openForReading(source);
                Descriptor same = openForWriting(equal)) {
            assertThat(reflink.dedupeRange(one, 0, same, 0, BLOCK)).isInstanceOf(DedupeOutcome.Unsupported.class);
            assertThat(reflink.cloneRange(one, 0, same, 0, BLOCK)).isInstanceOf(ReflinkOutcome.Unsupported.class);
        }
    }

    @RealFileSystems(XFS)
    void scatteredChangesToACloneTakeTheSpaceOfTheChanges(Path directory) throws IOException {
        int pages = 512;
        Path source = Files.write(directory.resolve("source"), SparseFiles.bytes(pages * 32 * BLOCK, 1));
        try (Descriptor one = openForReading(source);
                StagedFile staged = StagedFile.create(posix, directory.resolve("clone"));
                Arena arena = Arena.ofConfined()) {
            one.sync();
            assertThat(reflink.cloneInto(one, staged).isCloned()).isTrue();
            staged.descriptor().sync();
            long before = freeBytes(one);
            MemorySegment page = arena.allocate(BLOCK).fill((byte) 7);
            for (long index = 0; index < pages; index++) {
                staged.descriptor().writeFully(page, index * 32 * BLOCK);
            }
            staged.descriptor().sync();
            assertThat(before - freeBytes(one)).as("bytes that " + pages + " changed pages take")
                    .isLessThan(4L * pages * BLOCK);
        }
    }

    @RealFileSystems
    void probesOfOneDirectoryDoNotDisturbEachOther(Path directory, FileSystemKind kind) throws Exception {
        try (ExecutorService threads = Executors.newFixedThreadPool(8)) {
            List<Future<ReflinkOutcome>> probes = new ArrayList<>();
            for (int probe = 0; probe < 64; probe++) {
                probes.add(threads.submit(() -> new Reflink().probe(posix, directory)));
            }
            for (Future<ReflinkOutcome> probe : probes) {
                assertThat(probe.get().isCloned()).isEqualTo(kind.reflinks());
            }
        }
        assertThat(SparseFiles.namesIn(directory)).isEmpty();
    }

    private ReflinkOutcome cloneAfterA(Errno errno, Path source, Path directory) throws IOException {
        Reflink own = new Reflink();
        FaultyPosix faulty = FaultyPosix.host();
        faulty.at("ioctl", 1).fails(errno);
        assertThat(own.clone(faulty.posix(), source, directory.resolve("first"), Durability.NONE).isCloned()).isFalse();
        Path second = directory.resolve("second");
        ReflinkOutcome outcome = own.clone(posix, source, second, Durability.NONE);
        Files.deleteIfExists(second);
        return outcome;
    }

    private long freeBytes(Descriptor file) {
        FileSystemStat status = new FileSystemStat();
        assertThat(posix.fstatfs(file.number(), status)).isZero();
        return status.freeBytes();
    }

    private static byte[] bytes(int length) {
        return SparseFiles.bytes(length, 7);
    }
}
