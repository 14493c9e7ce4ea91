package io.microsnap.core.internal.file;

import static io.microsnap.testsupport.FileSystemKind.EXT4;
import static io.microsnap.testsupport.FileSystemKind.TMPFS;
import static io.microsnap.testsupport.FileSystemKind.XFS;
import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;

import io.microsnap.core.HugePages;
import io.microsnap.core.IfExists;
import io.microsnap.core.internal.posix.Constants;
import io.microsnap.core.internal.posix.Descriptor;
import io.microsnap.core.internal.posix.Errno;
import io.microsnap.core.internal.posix.Posix;
import io.microsnap.core.internal.posix.SystemCallException;
import io.microsnap.core.testing.FaultyPosix;
import io.microsnap.core.testing.StandInMac;
import io.microsnap.testsupport.FileSystemKind;
import io.microsnap.testsupport.RealFileSystems;
import java.io.IOException;
import java.lang.foreign.Arena;
import java.lang.foreign.MemorySegment;
import java.nio.file.FileAlreadyExistsException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.List;
import org.junit.jupiter.api.AfterEach;
import org.junit.jupiter.api.condition.EnabledOnOs;
import org.junit.jupiter.api.condition.OS;

/** What the file layer decides on macOS: with its numbers, its errors, and without the calls that it lacks. */
@EnabledOnOs(OS.LINUX)
class OnMacosTest {
    private final FaultyPosix calls = FaultyPosix.over(StandInMac.host());
    private final Posix macos = calls.posix();
    private final Constants constants = macos.constants();

    @AfterEach
    void nothingIsLeaked() {
        assertThat(calls.openDescriptors()).isEmpty();
        assertThat(calls.mappedBytes()).isZero();
    }

    @RealFileSystems(TMPFS)
    void aStagedFileIsCommittedThroughFullSyncs(Path directory) throws IOException {
        List<String> syncs = new ArrayList<>();
        calls.before(call -> {
            boolean full = call.name().equals("fcntl") && call.arguments().get(1).equals(constants.F_FULLFSYNC);
            if (full || call.name().equals("renameat2") || call.name().equals("fsync")) {
                syncs.add(full ? "F_FULLFSYNC" : call.name());
            }
        });
        Path destination = directory.resolve("image");
        stage(destination, "new", Durability.FULL);
        assertThat(destination).hasContent("new");
        assertThat(syncs).containsExactly("F_FULLFSYNC", "renameat2", "F_FULLFSYNC");
        try (StagedFile staged = StagedFile.create(macos, destination)) {
            assertThatThrownBy(() -> staged.commit(Durability.FULL, IfExists.REFUSE))
                    .isInstanceOf(FileAlreadyExistsException.class);
        }
        assertThat(directory).isDirectoryContaining(path -> path.equals(destination));
        try (var files = Files.list(directory)) {
            assertThat(files).containsExactly(destination);
        }
    }

    @RealFileSystems(TMPFS)
    void aFilesystemWithoutFullSyncsGetsOrdinaryOnes(Path directory) throws IOException {
        calls.every("fcntl").fails(Errno.ENOTSUP);
        stage(directory.resolve("image"), "new", Durability.FULL);
        assertThat(calls.calls("fsync")).isEqualTo(2);
    }

    @RealFileSystems({EXT4, XFS})
    void aCopyIsACloneWhereThatCanBeAndSparseWhereNot(Path directory, FileSystemKind kind) throws IOException {
        Path source = directory.resolve("source");
        long megabyte = 1 << 20;
        try (Descriptor file = Descriptor.open(macos, source, constants.O_RDWR | constants.O_CREAT, 0600);
                Arena arena = Arena.ofConfined()) {
            file.truncate(64 * megabyte);
            MemorySegment data = arena.allocate(megabyte).fill((byte) 7);
            file.writeFully(data, 10 * megabyte);
            file.writeFully(data, 40 * megabyte);
        }
        Path copy = directory.resolve("copy");
        CopyResult result = new FileCopy(new Reflink()).cloneOrCopy(macos, source, copy);
        assertThat(copy).hasSameBinaryContentAs(source);
        assertThat(result.method() == CopyMethod.CLONED).isEqualTo(kind.reflinks());
        try (Descriptor file = Descriptor.open(macos, copy, constants.O_RDONLY, 0)) {
            assertThat(file.status().allocatedBytes()).isBetween(2 * megabyte, 3 * megabyte);
        }
        assertThat(new Reflink().probe(macos, directory) instanceof ReflinkOutcome.Cloned)
                .isEqualTo(kind.reflinks());
        try (var files = Files.list(directory)) {
            assertThat(files).containsExactlyInAnyOrder(source, copy);
        }
    }

    @RealFileSystems(XFS)
    void holesArePunchedInWholeBlocks(Path directory) throws IOException {
        try (Descriptor file = Descriptor.open(macos, directory.resolve("file"),
                constants.O_RDWR | constants.O_CREAT, 0600); Arena arena = Arena.ofConfined()) {
            MemorySegment data = arena.allocate(1 << 20).fill((byte) 7);
            file.writeFully(data, 0);
            file.sync();
            assertThat(Extents.punch(file, 64 << 10, 128 << 10)).isTrue();
            file.readFully(data, 0);
            assertThat(Pages.isZero(data, 64 << 10, 128 << 10)).isTrue();
            assertThat(file.status().allocatedBytes()).isEqualTo((1 << 20) - (128 << 10));
        }
    }

    @RealFileSystems(TMPFS)
    void dataIsNeverLookedForInTheFilesystemsOwnWords(Path directory) throws IOException {
        try (Descriptor file = Descriptor.open(macos, directory.resolve("file"),
                constants.O_RDWR | constants.O_CREAT, 0600)) {
            file.truncate(1 << 20);
            List<Long> named = new ArrayList<>();
            assertThat(Extents.data(file, (offset, length) -> named.add(length))).as("told").isFalse();
            assertThat(named).containsExactly(1L << 20);
            assertThat(calls.calls("lseek")).isZero();
        }
    }

    @RealFileSystems(TMPFS)
    void memoryIsMappedAndAllOfItCountsAsPopulated(Path directory) throws IOException {
        List<Long> named = new ArrayList<>();
        try (Mapping mapping = Mapping.anonymous(macos, 1 << 20, HugePages.TRANSPARENT)) {
            mapping.segment().fill((byte) 1);
            mapping.populated(0, 1 << 20, (offset, length) -> named.add(length));
            assertThat(named).containsExactly(1L << 20);
            assertThat(mapping.advise(0, 1 << 20, Advice.POPULATE_READ)).as("unknown there").isFalse();
            assertThat(mapping.advise(0, 1 << 20, Advice.RANDOM)).isTrue();
        }
        Path image = Files.write(directory.resolve("image"), new byte[1 << 16]);
        try (Descriptor file = Descriptor.open(macos, image, constants.O_RDONLY, 0);
                Mapping mapping = Mapping.file(file, 0, 1 << 16, Access.PRIVATE)) {
            mapping.segment().fill((byte) 1);
            assertThat(mapping.mayBeTruncated()).isTrue();
        }
        assertThatThrownBy(() -> Mapping.memfd(macos, "guest", 1 << 20, HugePages.NONE))
                .isInstanceOf(SystemCallException.class).hasMessageContainingAll("memfd guest", "ENOSYS");
        assertThatThrownBy(() -> Mapping.anonymous(macos, 1 << 20, HugePages.RESERVED))
                .isInstanceOf(SystemCallException.class).hasMessageContaining("ENOSYS");
    }

    private void stage(Path destination, String text, Durability durability) throws IOException {
        try (StagedFile staged = StagedFile.create(macos, destination); Arena arena = Arena.ofConfined()) {
            staged.descriptor().writeFully(arena.allocateFrom(text).asSlice(0, text.length()), 0);
            staged.commit(durability);
        }
    }
}
