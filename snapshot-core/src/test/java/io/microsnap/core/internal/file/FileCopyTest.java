package io.microsnap.core.internal.file;

import static io.microsnap.core.internal.file.SparseFiles.allocatedBytes;
import static io.microsnap.core.internal.file.SparseFiles.bytes;
import static io.microsnap.core.internal.file.SparseFiles.dataRanges;
import static io.microsnap.core.internal.file.SparseFiles.namesIn;
import static io.microsnap.core.internal.file.SparseFiles.sharedBytes;
import static io.microsnap.testsupport.FileSystemKind.BTRFS;
import static io.microsnap.testsupport.FileSystemKind.EXT4;
import static io.microsnap.testsupport.FileSystemKind.TMPFS;
import static io.microsnap.testsupport.FileSystemKind.XFS;
import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;

import io.microsnap.core.CancelledException;
import io.microsnap.core.IfExists;
import io.microsnap.core.SnapshotException;
import io.microsnap.core.internal.posix.Errno;
import io.microsnap.core.internal.posix.Posix;
import io.microsnap.core.internal.posix.SystemCallException;
import io.microsnap.core.testing.FaultyPosix;
import io.microsnap.testsupport.FileSystemKind;
import io.microsnap.testsupport.RealFileSystems;
import io.microsnap.testsupport.TinyFileSystem;
import java.io.IOException;
import java.io.RandomAccessFile;
import java.io.UncheckedIOException;
import java.nio.file.FileAlreadyExistsException;
import java.nio.file.FileSystemException;
import java.nio.file.Files;
import java.nio.file.LinkOption;
import java.nio.file.NoSuchFileException;
import java.nio.file.Path;
import java.nio.file.attribute.PosixFilePermissions;
import java.util.ArrayList;
import java.util.List;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.condition.EnabledOnOs;
import org.junit.jupiter.api.condition.OS;
import org.junit.jupiter.api.io.TempDir;

class FileCopyTest {
    private static final int MIB = 1 << 20;
    private static final int PIECE = 64 << 10;
    private static final long[] PIECES = {0, 4 * MIB, 8 * MIB, 12 * MIB};

    private final Posix posix = Posix.host();
    private final FileCopy files = new FileCopy(new Reflink());
    @TempDir
    Path temporary;

    @RealFileSystems
    void aSmallFileArrivesByEveryMeansThatThisFilesystemHas(Path directory, FileSystemKind kind) throws IOException {
        Path source = Files.writeString(directory.resolve("source"), "hello world");
        for (CopyStrategy strategy : CopyStrategy.values()) {
            if (strategy == CopyStrategy.REFLINK && !kind.reflinks()) {
                continue;
            }
            Path copy = directory.resolve(strategy.name());
            CopyResult result = copy(source, copy, strategy);
            assertThat(copy).hasContent("hello world");
            assertThat(result.sizeBytes()).isEqualTo(11);
            assertThat(result.elapsed()).isPositive();
        }
    }

    @RealFileSystems
    void holesStayHolesAndDataArrivesWhereItWas(Path directory) throws IOException {
        Path source = SparseFiles.make(directory.resolve("source"), 16 * MIB, PIECE, PIECES);
        for (CopyStrategy strategy : List.of(CopyStrategy.AUTO, CopyStrategy.SPARSE, CopyStrategy.UNSHARED)) {
            Path copy = directory.resolve(strategy.name());
            CopyResult result = copy(source, copy, strategy);
            assertThat(Files.mismatch(copy, source)).isEqualTo(-1);
            assertThat(allocatedBytes(copy)).isLessThanOrEqualTo(allocatedBytes(source) + 64 * 1024);
            assertThat(dataRanges(copy)).isEqualTo(dataRanges(source));
            assertThat(result.sizeBytes()).isEqualTo(16 * MIB);
            assertThat(result.dataBytes()).isEqualTo(result.method() == CopyMethod.CLONED ? 0 : 4 * PIECE);
        }
    }

    @RealFileSystems
    void emptyAllHoleAndTrailingHoleFilesKeepTheirLength(Path directory) throws IOException {
        for (CopyStrategy strategy : List.of(CopyStrategy.AUTO, CopyStrategy.SPARSE, CopyStrategy.UNSHARED)) {
            Path empty = SparseFiles.make(directory.resolve("empty"), 0, 0);
            Path hole = SparseFiles.make(directory.resolve("hole"), (1L << 32) + 5, 0);
            Path trailing = SparseFiles.make(directory.resolve("trailing"), 64 * MIB + 3, 100, 5000);
            for (Path source : List.of(empty, hole, trailing)) {
                Path copy = directory.resolve(source.getFileName() + " " + strategy);
                copy(source, copy, strategy);
                assertThat(Files.size(copy)).isEqualTo(Files.size(source));
                assertThat(allocatedBytes(copy)).isLessThanOrEqualTo(4 * PIECE);
            }
            assertThat(Files.mismatch(directory.resolve("trailing " + strategy), trailing)).isEqualTo(-1);
        }
    }

    @RealFileSystems
    void theResultSaysHowTheCopyWasMade(Path directory, FileSystemKind kind) throws IOException {
        Path source = SparseFiles.make(directory.resolve("source"), MIB, MIB, 0);
        assertThat(copy(source, directory.resolve("auto"), CopyStrategy.AUTO).method())
                .isEqualTo(kind.reflinks() ? CopyMethod.CLONED : CopyMethod.IN_KERNEL);
        assertThat(copy(source, directory.resolve("sparse"), CopyStrategy.SPARSE).method())
                .isEqualTo(CopyMethod.IN_KERNEL);
        assertThat(copy(source, directory.resolve("unshared"), CopyStrategy.UNSHARED).method())
                .isEqualTo(CopyMethod.READ_AND_WRITTEN);
        assertThat(sharedBytes(directory.resolve("unshared"))).isZero();
        assertThat(sharedBytes(directory.resolve("auto"))).isEqualTo(kind.reflinks() ? MIB : 0);
    }

    @RealFileSystems({EXT4, TMPFS})
    void reflinkOnlyFailsWhereThereAreNoneAndSaysWhy(Path directory) throws IOException {
        Path source = Files.writeString(directory.resolve("source"), "content");
        Path copy = Files.writeString(directory.resolve("copy"), "precious");
        assertThatThrownBy(() -> files.copy(posix, source, copy, CopyOptions.DEFAULTS
                .with(CopyStrategy.REFLINK).with(IfExists.REPLACE)))
                .isInstanceOf(SnapshotException.class)
                .hasMessageContaining(source.toString()).hasMessageContaining(copy.toString())
                .hasMessageContaining("EOPNOTSUPP");
        assertThat(copy).hasContent("precious");
        assertThat(namesIn(directory)).containsExactly("copy", "source");
    }

    @Test
    @EnabledOnOs(OS.LINUX)
    void aFileWhoseContentIsMadeWhenItIsReadIsRefused(@TempDir Path place) throws IOException {
        Path copy = place.resolve("copy");
        assertThatThrownBy(() -> new FileCopy(new Reflink()).copy(
                Posix.host(), Path.of("/proc/self/status"), copy, CopyOptions.DEFAULTS))
                .isInstanceOf(SnapshotException.class).hasMessageContaining("procfs");
        assertThat(copy).doesNotExist();
        Path empty = Files.createFile(place.resolve("empty"));
        new FileCopy(new Reflink()).copy(Posix.host(), empty, copy, CopyOptions.DEFAULTS);
        assertThat(copy).isEmptyFile();
    }

    @Test
    void betweenFilesystemsTheBytesAreReadAndWritten() throws IOException {
        Path shared = Files.createTempDirectory(Path.of("/dev/shm"), "microsnap");
        try {
            Path source = SparseFiles.make(temporary.resolve("source"), 16 * MIB, PIECE, PIECES);
            Path copy = shared.resolve("copy");
            assertThat(copy(source, copy, CopyStrategy.AUTO).method()).isEqualTo(CopyMethod.READ_AND_WRITTEN);
            assertThat(Files.mismatch(copy, source)).isEqualTo(-1);
            assertThat(allocatedBytes(copy)).isEqualTo(4 * PIECE);
        } finally {
            Files.deleteIfExists(shared.resolve("copy"));
            Files.delete(shared);
        }
    }

    @RealFileSystems
    void aMissingSourceIsNoSuchFileAndLeavesNothing(Path directory) throws IOException {
        Path missing = directory.resolve("missing");
        for (CopyStrategy strategy : CopyStrategy.values()) {
            assertThatThrownBy(() -> copy(missing, directory.resolve("copy"), strategy))
                    .isInstanceOf(NoSuchFileException.class).hasMessageContaining(missing.toString());
        }
        assertThat(namesIn(directory)).isEmpty();
    }

    @RealFileSystems
    void anExistingDestinationIsRefusedOrReplacedAsAsked(Path directory) throws IOException {
        Path source = Files.writeString(directory.resolve("source"), "new");
        Path copy = Files.writeString(directory.resolve("copy"), "old and longer");
        assertThatThrownBy(() -> copy(source, copy, CopyStrategy.AUTO))
                .isInstanceOf(FileAlreadyExistsException.class).hasMessageContaining(copy.toString());
        assertThat(copy).hasContent("old and longer");
        assertThat(files.cloneOrCopy(posix, source, copy).sizeBytes()).isEqualTo(3);
        assertThat(copy).hasContent("new");
        assertThat(namesIn(directory)).containsExactly("copy", "source");
    }

    @RealFileSystems
    void writingEitherSideNeverChangesTheOther(Path directory) throws IOException {
        Path source = Files.writeString(directory.resolve("source"), "original");
        Path copy = directory.resolve("copy");
        files.cloneOrCopy(posix, source, copy);
        Files.writeString(copy, "changed copy");
        assertThat(source).hasContent("original");
        files.cloneOrCopy(posix, source, copy);
        Files.writeString(source, "changed source");
        assertThat(copy).hasContent("original");
    }

    @RealFileSystems
    void aFileOntoItselfByAnyNameIsRefusedBeforeAnythingIsOpenedForWriting(Path directory) throws IOException {
        Path source = Files.write(directory.resolve("source"), bytes(PIECE, 1));
        Path hard = Files.createLink(directory.resolve("hard"), source);
        Path soft = Files.createSymbolicLink(directory.resolve("soft"), source);
        Path folder = Files.createSymbolicLink(directory.resolve("folder"), directory);
        FaultyPosix recording = FaultyPosix.host();
        List<Integer> openFlags = new ArrayList<>();
        recording.before(call -> {
            if (call.name().equals("openat")) {
                openFlags.add((int) call.arguments().get(2));
            }
        });
        for (Path other : List.of(source, hard, soft, folder.resolve("source"), directory.resolve("./source"))) {
            for (CopyStrategy strategy : CopyStrategy.values()) {
                assertThatThrownBy(() -> files.copy(recording.posix(), source, other,
                        CopyOptions.DEFAULTS.with(strategy).with(IfExists.REPLACE))).isInstanceOf(IOException.class);
            }
        }
        assertThatThrownBy(() -> files.cloneOrCopy(posix, source, hard))
                .isInstanceOf(FileSystemException.class).hasMessageContaining("same file");
        assertThatThrownBy(() -> files.cloneOrCopy(posix, soft, source)).hasMessageContaining("same file");
        assertThat(openFlags).isNotEmpty().allMatch(flags -> (flags & 3) == posix.constants().O_RDONLY
                && (flags & (posix.constants().O_CREAT | posix.constants().O_TRUNC)) == 0);
        assertThat(source).hasBinaryContent(bytes(PIECE, 1));
    }

    @RealFileSystems
    void theModeIsTheSourcesUnlessGivenAndNeverMoreThanPermissions(Path directory) throws IOException {
        Path source = Files.writeString(directory.resolve("source"), "content");
        Files.setPosixFilePermissions(source, PosixFilePermissions.fromString("r-xr-----"));
        Files.setAttribute(source, "unix:mode", 04550);
        copy(source, directory.resolve("same"), CopyStrategy.AUTO);
        assertThat((int) Files.getAttribute(directory.resolve("same"), "unix:mode") & 07777).isEqualTo(0550);
        files.copy(posix, source, directory.resolve("given"), CopyOptions.DEFAULTS.withMode(0640));
        assertThat((int) Files.getAttribute(directory.resolve("given"), "unix:mode") & 07777).isEqualTo(0640);
        assertThatThrownBy(() -> CopyOptions.DEFAULTS.withMode(04755)).isInstanceOf(IllegalArgumentException.class);
    }

    @RealFileSystems
    void everyMeansSyncsTheFileBeforeTheNameAndTheDirectoryAfterIt(Path directory, FileSystemKind kind)
            throws IOException {
        Path source = Files.write(directory.resolve("source"), bytes(PIECE, 1));
        for (CopyStrategy strategy : CopyStrategy.values()) {
            if (strategy == CopyStrategy.REFLINK && !kind.reflinks()) {
                continue;
            }
            for (IfExists ifExists : IfExists.values()) {
                Path copy = directory.resolve(strategy + " " + ifExists);
                assertThat(syncsAndRenames(source, copy, strategy, ifExists, Durability.FULL))
                        .containsExactly("fsync", "renameat2", "fsync");
                Files.deleteIfExists(copy);
                assertThat(syncsAndRenames(source, copy, strategy, ifExists, Durability.DATA))
                        .containsExactly("fdatasync", "renameat2");
                Files.deleteIfExists(copy);
                assertThat(syncsAndRenames(source, copy, strategy, ifExists, Durability.NONE))
                        .containsExactly("renameat2");
            }
        }
    }

    @RealFileSystems({XFS, BTRFS})
    void aCloneThatTheSystemDoesNotKnowIsCopiedInstead(Path directory) throws IOException {
        Path source = Files.write(directory.resolve("source"), bytes(PIECE, 1));
        for (Errno errno : List.of(Errno.EOPNOTSUPP, Errno.ENOTTY, Errno.ENOSYS, Errno.EXDEV, Errno.EINVAL)) {
            FaultyPosix faulty = FaultyPosix.host();
            faulty.every("ioctl").fails(errno);
            Path copy = directory.resolve(errno.name());
            assertThat(new FileCopy(new Reflink()).copy(faulty.posix(), source, copy, CopyOptions.DEFAULTS).method())
                    .isEqualTo(CopyMethod.IN_KERNEL);
            assertThat(copy).hasBinaryContent(bytes(PIECE, 1));
        }
    }

    @RealFileSystems
    void aKernelCopyThatIsUnknownInterruptedShortOrSaysNothingStillBringsEveryByte(Path directory)
            throws IOException {
        Path source = SparseFiles.make(directory.resolve("source"), 16 * MIB, PIECE, PIECES);
        for (int position = 1; position <= 4; position++) {
            List<FaultyPosix> faults = new ArrayList<>();
            for (Errno errno : List.of(Errno.ENOSYS, Errno.EXDEV, Errno.EINVAL, Errno.EOPNOTSUPP, Errno.EINTR)) {
                faults.add(FaultyPosix.host().at("copy_file_range", position).fails(errno));
            }
            faults.add(FaultyPosix.host().at("copy_file_range", position).fallsShort());
            faults.add(FaultyPosix.host().at("copy_file_range", position).transfersNothing());
            for (FaultyPosix faulty : faults) {
                Path copy = directory.resolve("copy");
                files.copy(faulty.posix(), source, copy, CopyOptions.DEFAULTS.with(CopyStrategy.SPARSE));
                assertThat(faulty.struck()).isTrue();
                assertThat(Files.mismatch(copy, source)).isEqualTo(-1);
                assertThat(allocatedBytes(copy)).isLessThanOrEqualTo(allocatedBytes(source));
                Files.delete(copy);
            }
        }
    }

    @RealFileSystems
    void whereHolesCannotBeToldZerosAreLeftOut(Path directory) throws IOException {
        Path source = SparseFiles.make(directory.resolve("source"), 16 * MIB + 5, PIECE, PIECES);
        for (Errno errno : List.of(Errno.EINVAL, Errno.ENOTSUP, Errno.ENOSYS)) {
            for (int position : new int[] {1, 2, 3, 4, 5}) {
                FaultyPosix faulty = FaultyPosix.host();
                faulty.at("lseek", position).andLater().fails(errno);
                Path copy = directory.resolve("copy");
                CopyResult result = files.copy(faulty.posix(), source, copy,
                        CopyOptions.DEFAULTS.with(CopyStrategy.SPARSE));
                assertThat(result.method()).isEqualTo(CopyMethod.ZEROS_LEFT_OUT);
                assertThat(result.dataBytes()).isEqualTo(4 * PIECE);
                assertThat(Files.mismatch(copy, source)).isEqualTo(-1);
                assertThat(allocatedBytes(copy)).isLessThanOrEqualTo(allocatedBytes(source));
                Files.delete(copy);
            }
        }
    }

    @RealFileSystems
    void aFilesystemThatCallsHolesDataDoesNotFillThem(Path directory) throws IOException {
        Path source = SparseFiles.make(directory.resolve("source"), 16 * MIB, PIECE, PIECES);
        Path copy = directory.resolve("copy");
        Posix everythingIsData = (Posix) java.lang.reflect.Proxy.newProxyInstance(getClass().getClassLoader(),
                new Class<?>[] {Posix.class}, (proxy, method, arguments) -> {
                    if (method.getName().equals("lseek")) {
                        boolean data = (int) arguments[2] == posix.constants().SEEK_DATA;
                        return data ? arguments[1] : (Object) (16L * MIB);
                    }
                    return method.invoke(posix, arguments);
                });
        assertThat(files.copy(everythingIsData, source, copy, CopyOptions.DEFAULTS.with(CopyStrategy.SPARSE)).method())
                .isEqualTo(CopyMethod.ZEROS_LEFT_OUT);
        assertThat(Files.mismatch(copy, source)).isEqualTo(-1);
        assertThat(allocatedBytes(copy)).isLessThanOrEqualTo(allocatedBytes(source));
    }

    @RealFileSystems
    void aSourceThatShrinksMeanwhileIsAnErrorAndThePreviousStateStays(Path directory) throws IOException {
        for (CopyStrategy strategy : List.of(CopyStrategy.SPARSE, CopyStrategy.UNSHARED)) {
            for (long left : new long[] {0, 5 * MIB, 12 * MIB + PIECE, 16 * MIB - 1}) {
                Path source = SparseFiles.make(directory.resolve("source"), 16 * MIB, PIECE, PIECES);
                Path copy = Files.writeString(directory.resolve("copy"), "precious");
                boolean[] shrunk = {false};
                assertThatThrownBy(() -> files.copy(posix, source, copy, CopyOptions.DEFAULTS.with(strategy)
                        .with(IfExists.REPLACE).with((done, total) -> {
                            if (!shrunk[0]) {
                                shrunk[0] = true;
                                shorten(source, left);
                            }
                        }))).isInstanceOf(IOException.class).hasMessageContaining(source.toString())
                        .hasMessageMatching("(?s).*(shrank|shorter).*");
                assertThat(copy).hasContent("precious");
                assertThat(namesIn(directory)).containsExactly("copy", "source");
            }
        }
    }

    @RealFileSystems
    void aCopyTellsItsProgressAndCanBeCancelledAtEveryStep(Path directory) throws IOException {
        Path source = SparseFiles.make(directory.resolve("source"), 16 * MIB, PIECE, PIECES);
        Path copy = Files.writeString(directory.resolve("copy"), "precious");
        for (CopyStrategy strategy : List.of(CopyStrategy.AUTO, CopyStrategy.SPARSE, CopyStrategy.UNSHARED)) {
            CopyOptions options = CopyOptions.DEFAULTS.with(strategy).with(IfExists.REPLACE);
            List<Long> heard = new ArrayList<>();
            files.copy(posix, source, directory.resolve("whole"), options.with((done, total) -> {
                assertThat(total).isEqualTo(16 * MIB);
                heard.add(done);
            }));
            assertThat(heard).isSorted().endsWith(16L * MIB);
            for (int step = 0; step < heard.size(); step++) {
                int[] left = {step};
                assertThatThrownBy(() -> files.copy(posix, source, copy, options.with((done, total) -> {
                    if (left[0]-- == 0) {
                        throw new CancelledException("enough");
                    }
                }))).isInstanceOf(CancelledException.class).hasMessage("enough");
            }
            assertThat(copy).hasContent("precious");
            assertThat(namesIn(directory)).containsExactly("copy", "source", "whole");
        }
    }

    @Test
    void aFullDiskIsAnErrorThatSaysSoAndLeavesNothingHalfWritten(@TinyFileSystem Path tiny) throws IOException {
        Path source = SparseFiles.make(temporary.resolve("source"), 32 * MIB, 32 * MIB, 0);
        Path copy = Files.writeString(tiny.resolve("copy"), "precious");
        for (CopyStrategy strategy : List.of(CopyStrategy.AUTO, CopyStrategy.SPARSE, CopyStrategy.UNSHARED)) {
            assertThatThrownBy(() -> files.copy(posix, source, copy,
                    CopyOptions.DEFAULTS.with(strategy).with(IfExists.REPLACE)))
                    .isInstanceOfSatisfying(SystemCallException.class,
                            failure -> assertThat(failure.errno()).isEqualTo(Errno.ENOSPC))
                    .hasMessageContaining(copy.toString()).hasMessageContaining("free space");
            assertThat(copy).hasContent("precious");
            assertThat(namesIn(tiny)).containsExactly("copy", "lost+found");
        }
    }

    @Test
    void whatIsNoPlainFileIsNeitherReadNorReplaced() throws IOException, InterruptedException {
        Path source = Files.writeString(temporary.resolve("source"), "content");
        Path folder = Files.createDirectory(temporary.resolve("folder"));
        Path pipe = temporary.resolve("pipe");
        assertThat(new ProcessBuilder("mkfifo", pipe.toString()).start().waitFor()).isZero();
        Path link = Files.createSymbolicLink(temporary.resolve("link"), temporary.resolve("elsewhere"));
        CopyOptions replace = CopyOptions.DEFAULTS.with(IfExists.REPLACE);
        for (Path odd : List.of(folder, pipe)) {
            assertThatThrownBy(() -> files.copy(posix, odd, temporary.resolve("copy"), replace))
                    .isInstanceOf(IOException.class).hasMessageContaining(odd.toString());
        }
        for (Path odd : List.of(folder, pipe, link)) {
            assertThatThrownBy(() -> files.copy(posix, source, odd, replace))
                    .isInstanceOf(IOException.class).hasMessageContaining(odd.toString());
        }
        assertThat(Files.isSymbolicLink(link)).isTrue();
        assertThat(Files.exists(temporary.resolve("elsewhere"), LinkOption.NOFOLLOW_LINKS)).isFalse();
        assertThat(namesIn(temporary)).containsExactly("folder", "link", "pipe", "source");
    }

    private CopyResult copy(Path source, Path copy, CopyStrategy strategy) throws IOException {
        return files.copy(posix, source, copy, CopyOptions.DEFAULTS.with(strategy));
    }

    private List<String> syncsAndRenames(
            Path source, Path copy, CopyStrategy strategy, IfExists ifExists, Durability durability)
            throws IOException {
        FaultyPosix recording = FaultyPosix.host();
        List<String> calls = new ArrayList<>();
        recording.before(call -> {
            if (call.name().contains("sync") || call.name().startsWith("rename")) {
                calls.add(call.name());
            }
        });
        files.copy(recording.posix(), source, copy,
                CopyOptions.DEFAULTS.with(strategy).with(ifExists).with(durability));
        return calls;
    }

    private static void shorten(Path file, long lengthBytes) {
        try (RandomAccessFile open = new RandomAccessFile(file.toFile(), "rw")) {
            open.setLength(lengthBytes);
        } catch (IOException failure) {
            throw new UncheckedIOException(failure);
        }
    }
}
