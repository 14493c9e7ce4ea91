package io.microsnap.core.internal.file;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;

import io.microsnap.core.IoMode;
import io.microsnap.core.SnapshotException;
import io.microsnap.core.internal.file.StorageOptions.Existing;
import io.microsnap.core.internal.posix.Constants;
import io.microsnap.core.internal.posix.Descriptor;
import io.microsnap.core.internal.posix.Errno;
import io.microsnap.core.internal.posix.Posix;
import io.microsnap.core.internal.posix.Stat;
import io.microsnap.core.internal.posix.SystemCallException;
import io.microsnap.core.testing.FaultyPosix;
import io.microsnap.core.testing.PageCache;
import io.microsnap.core.testing.StandInMac;
import io.microsnap.testsupport.FileSystemKind;
import io.microsnap.testsupport.LoopDevice;
import io.microsnap.testsupport.RealFileSystems;
import io.microsnap.testsupport.TinyFileSystem;
import java.io.IOException;
import java.lang.foreign.Arena;
import java.lang.foreign.MemorySegment;
import java.lang.foreign.ValueLayout;
import java.nio.file.FileAlreadyExistsException;
import java.nio.file.FileSystemException;
import java.nio.file.Files;
import java.nio.file.NoSuchFileException;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.List;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;

/** What a file and a block device promise as storage, and each trap that others fell into. */
class StorageFileTest {
    private static final Posix HOST = Posix.host();
    private static final Constants NUMBERS = HOST.constants();
    private static final int BLOCK = 4096;
    private static final long MIB_OF_BACKING = 1;
    private static final StorageOptions DIRECT = StorageOptions.WRITE.with(IoMode.DIRECT);

    private final Arena arena = Arena.ofAuto();

    @TempDir
    Path temporary;

    @RealFileSystems
    void openingChangesNothing(Path directory, FileSystemKind kind) throws IOException {
        Path file = directory.resolve("file");
        SparseFiles.make(file, 40 * BLOCK + 123, BLOCK, 3 * BLOCK, 20 * BLOCK, 40 * BLOCK);
        Files.createFile(directory.resolve("empty"));
        if (kind.reflinks()) {
            new FileCopy(new Reflink()).copy(HOST, file, directory.resolve("clone"),
                    CopyOptions.DEFAULTS.with(CopyStrategy.REFLINK));
        }
        for (Path path : SparseFiles.namesIn(directory).stream().map(directory::resolve).toList()) {
            String before = everythingAbout(path);
            for (IoMode mode : IoMode.values()) {
                for (StorageOptions options : List.of(StorageOptions.READ, StorageOptions.WRITE)) {
                    try (StorageFile storage = StorageFile.open(HOST, path, options.with(mode))) {
                        assertThat(storage.sizeBytes()).isEqualTo(Files.size(path));
                        assertThat(storage.alignments().requestBytes()).isPositive();
                    }
                }
            }
            assertThat(everythingAbout(path)).as("%s", path).isEqualTo(before);
        }
    }

    @Test
    void openingADeviceChangesNothing(@LoopDevice(sizeMiB = 16) Path device) throws IOException {
        write(device, pattern(16 << 20, 7), 0);
        Object modified = Files.getLastModifiedTime(device);
        for (IoMode mode : IoMode.values()) {
            try (StorageFile storage = StorageFile.open(HOST, device, StorageOptions.WRITE.with(mode))) {
                assertThat(storage.isDevice()).isTrue();
                assertThat(storage.sizeBytes()).isEqualTo(16 << 20);
                assertThat(bytes(storage, 0, 16 << 20)).isEqualTo(pattern(16 << 20, 7));
            }
        }
        assertThat(Files.getLastModifiedTime(device)).isEqualTo(modified);
    }

    /** All that opening could change: times, length, space, places of extents and whether they are shared, content. */
    private String everythingAbout(Path path) throws IOException {
        StringBuilder all = new StringBuilder();
        try (Descriptor file = Descriptor.open(HOST, path, NUMBERS.O_RDONLY, 0)) {
            Stat stat = file.status();
            all.append(stat.modifiedSeconds()).append('.').append(stat.modifiedNanos()).append(' ')
                    .append(stat.changedSeconds()).append('.').append(stat.changedNanos()).append(' ')
                    .append(stat.sizeBytes()).append(' ').append(stat.allocatedBytes());
            Extents.each(file, (offset, length, place) ->
                    all.append(' ').append(offset).append('+').append(length).append('@').append(place));
            Extents.summary(file).ifPresent(all::append);
        }
        return all.append(Arrays.hashCode(Files.readAllBytes(path))).toString();
    }

    @RealFileSystems
    void alignmentsArePowersOfTwoAndSayWhetherTheyWereReported(Path directory, FileSystemKind kind)
            throws IOException {
        Path file = Files.createFile(directory.resolve("file"));
        try (StorageFile cached = StorageFile.open(HOST, file, StorageOptions.WRITE);
                StorageFile direct = StorageFile.open(HOST, file, DIRECT)) {
            assertThat(cached.alignments()).isEqualTo(new Alignments(1, 1, 1, 1, true));
            Alignments found = direct.alignments();
            assertThat(found.requestBytes()).isGreaterThanOrEqualTo(BLOCK);
            assertThat(found.zeroBytes()).isEqualTo(BLOCK);
            assertThat(found.reported()).isEqualTo(kind == FileSystemKind.EXT4 || kind == FileSystemKind.XFS);
        }
    }

    @Test
    void aDeviceHasTheAlignmentsOfItsSectors(@LoopDevice(sizeMiB = 16) Path device) throws IOException {
        try (StorageFile direct = StorageFile.open(HOST, device, DIRECT)) {
            assertThat(direct.alignments().reported()).isTrue();
            assertThat(direct.alignments().requestBytes()).isIn(512, 4096);
        }
    }

    @Test
    void anAlignmentIsAPowerOfTwo() {
        assertThatThrownBy(() -> new Alignments(3, 1, 1, 1, true)).isInstanceOf(IllegalArgumentException.class);
    }

    @RealFileSystems
    void zerosWithinABlockLeaveItsNeighbours(Path directory) throws IOException {
        for (IoMode mode : IoMode.values()) {
            Path file = Files.write(directory.resolve("file-" + mode), pattern(2 * BLOCK, 3));
            byte[] expected = pattern(2 * BLOCK, 3);
            Arrays.fill(expected, 100, 110, (byte) 0);
            Arrays.fill(expected, 4000, 4200, (byte) 0);
            try (StorageFile storage = StorageFile.open(HOST, file, StorageOptions.WRITE.with(mode))) {
                storage.writeZeroes(100, 10);
                storage.writeAllocatedZeroes(4000, 200);
                assertThat(bytes(storage, 0, 2 * BLOCK)).isEqualTo(expected);
            }
            assertThat(file).hasBinaryContent(expected);
        }
    }

    @Test
    void zerosWithinADevicesBlockLeaveItsNeighbours(@LoopDevice(sizeMiB = 16) Path device) throws IOException {
        for (IoMode mode : IoMode.values()) {
            write(device, pattern(1 << 20, 9), 0);
            byte[] expected = pattern(1 << 20, 9);
            Arrays.fill(expected, 100, 110, (byte) 0);
            Arrays.fill(expected, 4000, 500_001, (byte) 0);
            try (StorageFile storage = StorageFile.open(HOST, device, StorageOptions.WRITE.with(mode))) {
                storage.writeZeroes(100, 10);
                storage.writeZeroes(4000, 496_001);
                storage.writeAllocatedZeroes(4001, 7);
                assertThat(bytes(storage, 0, 1 << 20)).isEqualTo(expected);
            }
        }
    }

    @RealFileSystems
    void discardingTheTailKeepsTheLength(Path directory, FileSystemKind kind) throws IOException {
        for (IoMode mode : IoMode.values()) {
            Path file = Files.write(directory.resolve("file-" + mode), pattern(64 * BLOCK + 100, 5));
            try (StorageFile storage = StorageFile.open(HOST, file, StorageOptions.WRITE.with(mode))) {
                storage.sync();
                assertThat(storage.discard(32 * BLOCK + 10, 32 * BLOCK + 90)).isTrue();
                assertThat(storage.sizeBytes()).isEqualTo(64 * BLOCK + 100);
                assertThat(Files.size(file)).isEqualTo(64 * BLOCK + 100);
                assertThat(bytes(storage, 0, 33 * BLOCK)).isEqualTo(pattern(33 * BLOCK, 5));
                assertThat(bytes(storage, 64 * BLOCK, 100)).isEqualTo(new byte[100]);
                assertThat(storage.discard(10, 100)).as("less than a block").isFalse();
                assertThat(bytes(storage, 0, BLOCK)).isEqualTo(pattern(BLOCK, 5));
            }
        }
    }

    @RealFileSystems
    void zerosPastTheEndLengthenTheFileAndThatIsKnown(Path directory) throws IOException {
        for (IoMode mode : IoMode.values()) {
            Path file = Files.write(directory.resolve("file-" + mode), pattern(1000, 1));
            try (StorageFile storage = StorageFile.open(HOST, file, StorageOptions.WRITE.with(mode))) {
                storage.writeAllocatedZeroes(500, 10_000);
                assertThat(storage.sizeBytes()).isEqualTo(10_500).isEqualTo(Files.size(file));
                storage.writeZeroes(10_000, 2_345);
                assertThat(storage.sizeBytes()).isEqualTo(12_345).isEqualTo(Files.size(file));
                storage.write(segment(new byte[] {1}), 20_000);
                assertThat(storage.sizeBytes()).isEqualTo(20_001).isEqualTo(Files.size(file));
                byte[] expected = Arrays.copyOf(pattern(500, 1), 20_001);
                expected[20_000] = 1;
                assertThat(bytes(storage, 0, 20_001)).isEqualTo(expected);
            }
        }
    }

    @RealFileSystems
    void anUnalignedEndIsNeverWrittenLong(Path directory) throws IOException {
        Path file = directory.resolve("file");
        long[] longest = {0};
        FaultyPosix watching = FaultyPosix.host().after((call, result) -> {
            try {
                longest[0] = Math.max(longest[0], Files.size(file));
            } catch (IOException notYet) {
                longest[0] = Math.max(longest[0], 0);
            }
        });
        long end = 0;
        List<byte[]> written = new ArrayList<>();
        try (StorageFile storage = StorageFile.open(watching.posix(), file, DIRECT.with(Existing.REFUSED))) {
            for (int length : new int[] {10, 4086, 1, 5000, 2 << 20, 3, 4096, 77}) {
                byte[] part = pattern(length, length);
                storage.write(segment(part), end);
                written.add(part);
                end += length;
                assertThat(longest[0]).isEqualTo(end).isEqualTo(storage.sizeBytes());
            }
            byte[] all = new byte[(int) end];
            int at = 0;
            for (byte[] part : written) {
                System.arraycopy(part, 0, all, at, part.length);
                at += part.length;
            }
            assertThat(bytes(storage, 0, all.length)).isEqualTo(all);
        }
        assertThat(watching.calls("ftruncate")).isZero();
    }

    @RealFileSystems
    void behindTheEndAreZeros(Path directory) throws IOException {
        Path file = Files.write(directory.resolve("file"), pattern(5000, 2));
        for (IoMode mode : IoMode.values()) {
            try (StorageFile storage = StorageFile.open(HOST, file, StorageOptions.READ.with(mode))) {
                assertThat(bytes(storage, 4000, 6000)).isEqualTo(
                        Arrays.copyOfRange(Arrays.copyOf(pattern(5000, 2), 10_000), 4000, 10_000));
                assertThat(bytes(storage, 0, 2 * BLOCK)).isEqualTo(Arrays.copyOf(pattern(5000, 2), 2 * BLOCK));
                assertThat(bytes(storage, 1 << 20, 100)).isEqualTo(new byte[100]);
            }
        }
    }

    @RealFileSystems({FileSystemKind.XFS, FileSystemKind.EXT4})
    void aTransferOfManyBuffersGoesOnWithinABuffer(Path directory) throws IOException {
        byte[] content = pattern(3 << 20, 11);
        for (IoMode mode : IoMode.values()) {
            for (int size : new int[] {700, BLOCK}) {
                FaultyPosix faulty = FaultyPosix.host().at("pwritev2", 1).fallsShort().at("pwritev2", 3)
                        .isInterrupted().at("preadv2", 3).fallsShort().at("preadv2", 5).isInterrupted();
                if (mode != IoMode.DIRECT || size != BLOCK) {
                    // Twice within one buffer; half a block of direct I/O is no progress.
                    faulty.at("pwritev2", 2).fallsShort().at("preadv2", 4).fallsShort();
                }
                Path file = directory.resolve("file-" + mode + size);
                try (StorageFile storage = StorageFile.open(
                        faulty.posix(), file, StorageOptions.WRITE.with(mode).with(Existing.REFUSED))) {
                    storage.write(split(segment(content), size), 0);
                    List<MemorySegment> back = split(arena.allocate(content.length, BLOCK), size);
                    storage.read(back, 0);
                    byte[] read = new byte[content.length];
                    int at = 0;
                    for (MemorySegment part : back) {
                        MemorySegment.copy(part, ValueLayout.JAVA_BYTE, 0, read, at, (int) part.byteSize());
                        at += (int) part.byteSize();
                    }
                    assertThat(Arrays.equals(read, content)).as("%s in pieces of %d", mode, size).isTrue();
                }
                assertThat(Arrays.equals(Files.readAllBytes(file), content)).isTrue();
            }
        }
    }

    private static List<MemorySegment> split(MemorySegment whole, int size) {
        List<MemorySegment> parts = new ArrayList<>();
        for (long at = 0; at < whole.byteSize(); at += size) {
            parts.add(whole.asSlice(at, Math.min(size, whole.byteSize() - at)));
            parts.add(whole.asSlice(at, 0));
        }
        return parts;
    }

    @Test
    void whatMakesNoProgressIsAnError() throws IOException {
        Path file = Files.write(temporary.resolve("file"), new byte[BLOCK]);
        FaultyPosix stuck = FaultyPosix.host().every("pwritev2").transfersNothing().every("pwrite").transfersNothing();
        try (StorageFile storage = StorageFile.open(stuck.posix(), file, StorageOptions.WRITE)) {
            assertThatThrownBy(() -> storage.write(split(segment(new byte[100]), 50), 7))
                    .isInstanceOf(SnapshotException.class).hasMessageContaining("no progress")
                    .hasMessageContaining("100 bytes at 7").hasMessageContaining(file.toString());
            assertThatThrownBy(() -> storage.write(segment(new byte[100]), 7))
                    .hasMessageContaining("no progress");
        }
    }

    @Test
    void whatAFilesystemCannotDoIsAskedOnce() throws IOException {
        for (Errno errno : List.of(Errno.ENOTSUP, Errno.EOPNOTSUPP, Errno.ENODEV, Errno.ENXIO, Errno.ENOTTY)) {
            Path file = Files.write(temporary.resolve("file"), pattern(10 * BLOCK, 1));
            FaultyPosix poor = FaultyPosix.host().every("fallocate").fails(errno);
            try (StorageFile storage = StorageFile.open(poor.posix(), file, StorageOptions.WRITE)) {
                for (int round = 0; round < 3; round++) {
                    storage.writeZeroes(5, 2 * BLOCK);
                    storage.writeAllocatedZeroes(3 * BLOCK, 2 * BLOCK);
                    assertThat(storage.discard(6 * BLOCK, BLOCK)).isFalse();
                    storage.resize(storage.sizeBytes() + BLOCK, Preallocation.ALLOCATE);
                }
            }
            assertThat(poor.calls("fallocate")).as("%s", errno).isEqualTo(3);
            byte[] expected = Arrays.copyOf(pattern(10 * BLOCK, 1), 13 * BLOCK);
            Arrays.fill(expected, 5, 5 + 2 * BLOCK, (byte) 0);
            Arrays.fill(expected, 3 * BLOCK, 5 * BLOCK, (byte) 0);
            assertThat(file).hasBinaryContent(expected);
        }
    }

    @Test
    void aDeviceThatCannotDiscardOrZeroIsAskedOnce(@LoopDevice(sizeMiB = 16) Path device) throws IOException {
        write(device, pattern(1 << 20, 4), 0);
        // The size and the sector were asked by then: 2 calls to open, 1 for each request.
        FaultyPosix poor = FaultyPosix.host();
        try (StorageFile storage = StorageFile.open(poor.posix(), device, StorageOptions.WRITE)) {
            poor.every("ioctl").fails(Errno.EOPNOTSUPP);
            assertThatThrownBy(() -> storage.discard(0, BLOCK)).isInstanceOf(SystemCallException.class)
                    .hasMessageContaining("BLKSSZGET");
        }
        Posix lacking = withoutDeviceRequests();
        try (StorageFile storage = StorageFile.open(lacking, device, StorageOptions.WRITE)) {
            assertThat(storage.discard(0, BLOCK)).isFalse();
            storage.writeZeroes(10, 3 * BLOCK);
            byte[] expected = pattern(1 << 20, 4);
            Arrays.fill(expected, 10, 10 + 3 * BLOCK, (byte) 0);
            assertThat(bytes(storage, 0, 1 << 20)).isEqualTo(expected);
        }
    }

    private static Posix withoutDeviceRequests() {
        return (Posix) java.lang.reflect.Proxy.newProxyInstance(Posix.class.getClassLoader(),
                new Class<?>[] {Posix.class}, (proxy, method, arguments) -> {
                    if (method.getName().equals("ioctl") && (arguments[1].equals(NUMBERS.BLKDISCARD)
                            || arguments[1].equals(NUMBERS.BLKZEROOUT))) {
                        return -Errno.ENOTTY.number(NUMBERS);
                    }
                    return method.invoke(HOST, arguments);
                });
    }

    @Test
    void discardedDeviceKeepsWhatLiesOutside(@LoopDevice(sizeMiB = 16) Path device) throws IOException {
        write(device, pattern(1 << 20, 4), 0);
        try (StorageFile storage = StorageFile.open(HOST, device, DIRECT)) {
            assertThat(storage.discard(100, 10 * BLOCK)).isTrue();
            assertThat(bytes(storage, 0, 100)).isEqualTo(pattern(100, 4));
            byte[] rest = Arrays.copyOfRange(pattern(1 << 20, 4), 100 + 10 * BLOCK, 1 << 20);
            assertThat(bytes(storage, 100 + 10 * BLOCK, rest.length)).isEqualTo(rest);
            assertThat(storage.sizeBytes()).isEqualTo(16 << 20);
        }
    }

    @RealFileSystems
    void aFileGrowsInEachWayAndReadsAsZeros(Path directory, FileSystemKind kind) throws IOException {
        for (IoMode mode : IoMode.values()) {
            for (Preallocation preallocation : Preallocation.values()) {
                Path file = Files.write(directory.resolve(mode + "-" + preallocation), pattern(1000, 6));
                try (StorageFile storage = StorageFile.open(HOST, file, StorageOptions.WRITE.with(mode))) {
                    storage.resize(1 << 20, preallocation);
                    assertThat(storage.sizeBytes()).isEqualTo(1 << 20).isEqualTo(Files.size(file));
                    assertThat(bytes(storage, 0, 1 << 20)).isEqualTo(Arrays.copyOf(pattern(1000, 6), 1 << 20));
                    storage.sync();
                    long allocated = allocatedBytes(file);
                    if (preallocation == Preallocation.NONE) {
                        assertThat(allocated).isLessThan(1 << 17);
                    } else {
                        assertThat(allocated).as("%s %s", mode, preallocation).isGreaterThanOrEqualTo(1 << 20);
                    }
                    storage.resize(500, preallocation);
                    storage.resize(2000, preallocation);
                    assertThat(bytes(storage, 0, 2000)).isEqualTo(Arrays.copyOf(pattern(500, 6), 2000));
                }
            }
        }
    }

    private static long allocatedBytes(Path file) throws IOException {
        try (Descriptor open = Descriptor.open(HOST, file, NUMBERS.O_RDONLY, 0)) {
            return open.status().allocatedBytes();
        }
    }

    @Test
    void onAFullDiskTheLengthStaysAndTheCauseIsNamed(@TinyFileSystem Path directory) throws IOException {
        Path file = Files.write(directory.resolve("file"), pattern(5000, 8));
        for (IoMode mode : List.of(IoMode.CACHED, IoMode.DIRECT)) {
            try (StorageFile storage = StorageFile.open(HOST, file, StorageOptions.WRITE.with(mode))) {
                for (Preallocation preallocation : List.of(
                        Preallocation.ZERO, Preallocation.ALLOCATE, Preallocation.WRITE_DATA)) {
                    assertThatThrownBy(() -> storage.resize(64 << 20, preallocation))
                            .isInstanceOf(SystemCallException.class).hasMessageContaining("ENOSPC")
                            .hasMessageContaining("free space").hasMessageContaining(file.toString());
                    assertThat(storage.sizeBytes()).isEqualTo(5000).isEqualTo(Files.size(file));
                }
                MemorySegment much = arena.allocate(32 << 20, BLOCK);
                assertThatThrownBy(() -> storage.write(much, 1 << 20)).hasMessageContaining("ENOSPC");
                assertThat(storage.sizeBytes()).isEqualTo(Files.size(file));
                storage.resize(5000, Preallocation.NONE);
                assertThat(bytes(storage, 0, 5000)).isEqualTo(pattern(5000, 8));
            }
        }
    }

    @Test
    void whatIsNoStorageIsRefusedBeforeItIsOpened() throws IOException {
        FaultyPosix counting = FaultyPosix.host();
        assertThatThrownBy(() -> StorageFile.open(counting.posix(), temporary.resolve("none"), StorageOptions.READ))
                .isInstanceOf(NoSuchFileException.class);
        assertThatThrownBy(() -> StorageFile.open(counting.posix(), temporary, StorageOptions.READ))
                .isInstanceOf(FileSystemException.class).hasMessageContaining("directory");
        assertThatThrownBy(() -> StorageFile.open(counting.posix(), Path.of("/dev/zero"), StorageOptions.READ))
                .isInstanceOf(SnapshotException.class).hasMessageContaining("neither a file nor a block device");
        Path there = Files.createFile(temporary.resolve("there"));
        assertThatThrownBy(() -> StorageFile.open(
                counting.posix(), there, StorageOptions.WRITE.with(Existing.REFUSED)))
                .isInstanceOf(FileAlreadyExistsException.class);
        assertThat(counting.calls("openat")).isZero();
        assertThatThrownBy(() -> StorageOptions.READ.with(Existing.REFUSED))
                .isInstanceOf(IllegalArgumentException.class);
    }

    @Test
    void aFileIsMadeMadeEmptyOrLeftAsItIs() throws IOException {
        Path file = temporary.resolve("file");
        try (StorageFile made = StorageFile.open(HOST, file, StorageOptions.WRITE.with(Existing.REFUSED))) {
            made.write(segment(pattern(100, 1)), 0);
        }
        try (StorageFile kept = StorageFile.open(HOST, file, StorageOptions.WRITE)) {
            assertThat(kept.sizeBytes()).isEqualTo(100);
        }
        try (StorageFile emptied = StorageFile.open(HOST, file, StorageOptions.WRITE.with(Existing.OVERWRITTEN))) {
            assertThat(emptied.sizeBytes()).isZero();
        }
        assertThat(file).isEmptyFile();
    }

    @Test
    void impossibleRangesAreTheCallersMistake() throws IOException {
        Path file = Files.write(temporary.resolve("file"), new byte[100]);
        try (StorageFile storage = StorageFile.open(HOST, file, StorageOptions.WRITE);
                StorageFile reading = StorageFile.open(HOST, file, StorageOptions.READ)) {
            assertThatThrownBy(() -> storage.read(arena.allocate(10), -1)).isInstanceOf(IllegalArgumentException.class);
            assertThatThrownBy(() -> storage.write(arena.allocate(10), Long.MAX_VALUE - 5))
                    .isInstanceOf(IllegalArgumentException.class).hasMessageContaining(file.toString());
            assertThatThrownBy(() -> storage.writeZeroes(0, -1)).isInstanceOf(IllegalArgumentException.class);
            assertThatThrownBy(() -> storage.resize(-1, Preallocation.NONE))
                    .isInstanceOf(IllegalArgumentException.class);
            assertThatThrownBy(() -> reading.write(arena.allocate(1), 0)).isInstanceOf(IllegalStateException.class)
                    .hasMessageContaining("reading only");
            assertThatThrownBy(() -> reading.resize(1, Preallocation.NONE)).isInstanceOf(IllegalStateException.class);
        }
        assertThat(Files.size(file)).isEqualTo(100);
    }

    @Test
    void aDeviceInUseIsRefusedAndOneTooSmallIsNotWritten(@LoopDevice(sizeMiB = 16) Path device) throws IOException {
        try (StorageFile storage = StorageFile.open(HOST, device, StorageOptions.WRITE)) {
            assertThatThrownBy(() -> StorageFile.open(HOST, device, StorageOptions.WRITE))
                    .hasMessageContaining("EBUSY").hasMessageContaining("in use");
            byte[] before = bytes(storage, (16 << 20) - BLOCK, BLOCK);
            assertThatThrownBy(() -> storage.write(segment(pattern(2 * BLOCK, 1)), (16 << 20) - BLOCK))
                    .isInstanceOf(SnapshotException.class).hasMessageContaining("do not fit")
                    .hasMessageContaining(device.toString());
            assertThat(bytes(storage, (16 << 20) - BLOCK, BLOCK)).isEqualTo(before);
            assertThatThrownBy(() -> storage.resize(1, Preallocation.NONE)).isInstanceOf(SnapshotException.class);
            storage.resize(16 << 20, Preallocation.NONE);
        }
    }

    @Test
    void aDeviceThatFailsIsNamedWithTheRangeAndTheCause(@LoopDevice(sizeMiB = 16) Path device) throws IOException {
        Path backing = Path.of(Files.readString(
                Path.of("/sys/class/block").resolve(device.getFileName()).resolve("loop/backing_file")).strip());
        try (StorageFile storage = StorageFile.open(HOST, device, DIRECT);
                Descriptor open = Descriptor.open(HOST, backing, NUMBERS.O_RDWR, 0)) {
            open.truncate(MIB_OF_BACKING << 20);
            assertThatThrownBy(() -> bytes(storage, 8 << 20, BLOCK)).isInstanceOf(SystemCallException.class)
                    .hasMessageContaining("EIO").hasMessageContaining(BLOCK + " bytes at " + (8 << 20))
                    .hasMessageContaining(device.toString()).hasMessageContaining("kernel's log");
            assertThatThrownBy(() -> storage.write(segment(new byte[10]), (8 << 20) + 5))
                    .as("its blocks cannot be read").hasMessageContaining("EIO");
            assertThat(bytes(storage, 0, BLOCK)).isEqualTo(new byte[BLOCK]);
        }
    }

    @Test
    void aFileThatWasShortenedIsNotReadAsZeros() throws IOException {
        Path file = Files.write(temporary.resolve("file"), pattern(10 * BLOCK, 1));
        for (IoMode mode : List.of(IoMode.CACHED, IoMode.DIRECT)) {
            Files.write(file, pattern(10 * BLOCK, 1));
            try (StorageFile storage = StorageFile.open(HOST, file, StorageOptions.WRITE.with(mode));
                    Descriptor other = Descriptor.open(HOST, file, NUMBERS.O_RDWR, 0)) {
                other.truncate(3 * BLOCK);
                assertThatThrownBy(() -> bytes(storage, 0, 5 * BLOCK)).isInstanceOf(SnapshotException.class)
                        .hasMessageContaining("shortened").hasMessageContaining(file.toString());
            }
        }
    }

    @Test
    void namesBesideTheFileAreFoundIfItHasOne() throws IOException {
        Path file = Files.createFile(temporary.resolve("file"));
        try (StorageFile storage = StorageFile.open(HOST, file, StorageOptions.READ);
                Descriptor open = Descriptor.open(HOST, file, NUMBERS.O_RDONLY, 0);
                StorageFile over = StorageFile.over(open, StorageOptions.READ)) {
            assertThat(storage.resolve("base.img")).isEqualTo(temporary.resolve("base.img").toAbsolutePath());
            assertThat(storage.resolve("/elsewhere/base.img")).isEqualTo(Path.of("/elsewhere/base.img"));
            assertThatThrownBy(() -> over.resolve("base.img")).isInstanceOf(SnapshotException.class)
                    .hasMessageContaining("without a path").hasMessageContaining("absolutely");
        }
    }

    @Test
    void aSyncIsWhatMakesDurableAndMayBeRelaxedOnMacos() throws IOException {
        Path file = Files.createFile(temporary.resolve("file"));
        FaultyPosix linux = FaultyPosix.host();
        try (StorageFile storage = StorageFile.open(linux.posix(), file, StorageOptions.WRITE)) {
            storage.write(segment(new byte[100]), 0);
            assertThat(linux.calls("fsync")).isZero();
            storage.sync();
            assertThat(linux.calls("fsync")).isEqualTo(1);
        }
        FaultyPosix full = FaultyPosix.over(StandInMac.host());
        try (StorageFile storage = StorageFile.open(full.posix(), file, StorageOptions.WRITE)) {
            storage.sync();
        }
        assertThat(full.calls("fcntl")).isEqualTo(1);
        assertThat(full.calls("fsync")).isZero();
        FaultyPosix relaxed = FaultyPosix.over(StandInMac.host());
        try (StorageFile storage = StorageFile.open(
                relaxed.posix(), file, StorageOptions.WRITE.syncingToDeviceOnly())) {
            storage.sync();
        }
        assertThat(relaxed.calls("fcntl")).isZero();
        assertThat(relaxed.calls("fsync")).isEqualTo(1);
    }

    @RealFileSystems(FileSystemKind.XFS)
    void onMacosTheSameHoldsByItsOwnCalls(Path directory) throws IOException {
        Posix macos = StandInMac.host();
        for (IoMode mode : IoMode.values()) {
            Path file = Files.write(directory.resolve("file-" + mode), pattern(10 * BLOCK + 7, 1));
            byte[] expected = Arrays.copyOf(pattern(10 * BLOCK + 7, 1), 1 << 20);
            try (StorageFile storage = StorageFile.open(macos, file, StorageOptions.WRITE.with(mode))) {
                storage.writeZeroes(100, 2 * BLOCK);
                Arrays.fill(expected, 100, 100 + 2 * BLOCK, (byte) 0);
                storage.writeAllocatedZeroes(4 * BLOCK, 10);
                Arrays.fill(expected, 4 * BLOCK, 4 * BLOCK + 10, (byte) 0);
                storage.resize(1 << 20, Preallocation.ALLOCATE);
                storage.write(split(segment(pattern(9000, 2)), 1234), 50_000);
                System.arraycopy(pattern(9000, 2), 0, expected, 50_000, 9000);
                assertThat(bytes(storage, 0, 1 << 20)).isEqualTo(expected);
                storage.sync();
            }
            assertThat(allocatedBytes(file)).isGreaterThanOrEqualTo((1 << 20) - 4 * BLOCK);
        }
    }

    @Test
    void onMacosADeviceTellsItsSize(@LoopDevice(sizeMiB = 16) Path device) throws IOException {
        try (StorageFile storage = StorageFile.open(StandInMac.host(), device, DIRECT)) {
            assertThat(storage.sizeBytes()).isEqualTo(16 << 20);
            assertThat(storage.alignments().requestBytes()).isIn(512, 4096);
            storage.write(segment(pattern(1000, 1)), 77);
            storage.writeZeroes(100, 10_000);
            byte[] expected = Arrays.copyOf(pattern(23, 1), 10_023);
            assertThat(bytes(storage, 77, 10_023)).isEqualTo(expected);
        }
    }

    @RealFileSystems({FileSystemKind.XFS, FileSystemKind.EXT4})
    void pastThePageCacheNothingStaysInIt(Path directory) throws IOException {
        byte[] content = pattern(32 << 20, 3);
        for (IoMode mode : List.of(IoMode.UNCACHED, IoMode.DIRECT)) {
            Path file = directory.resolve("file-" + mode);
            try (StorageFile storage = StorageFile.open(
                    HOST, file, StorageOptions.WRITE.with(mode).with(Existing.REFUSED))) {
                MemorySegment memory = segment(content);
                for (long at = 0; at < content.length; at += 4 << 20) {
                    storage.write(memory.asSlice(at, 4 << 20), at);
                }
                storage.sync();
                assertThat(PageCache.residentBytes(file)).as("%s, written", mode).isLessThan(1 << 20);
                MemorySegment back = arena.allocate(content.length, BLOCK);
                storage.read(back, 0);
                assertThat(back.mismatch(memory)).isEqualTo(-1);
                assertThat(PageCache.residentBytes(file)).as("%s, read", mode).isLessThan(1 << 20);
            }
        }
    }

    @Test
    void rangesThatOverlapWaitAndOthersDoNot() throws Exception {
        RangeLocks locks = new RangeLocks();
        RangeLocks.Range low = locks.hold(0, 10);
        locks.hold(10, 20).close();
        List<String> order = java.util.Collections.synchronizedList(new ArrayList<>());
        Thread waiter = Thread.ofPlatform().start(() -> {
            try (RangeLocks.Range _ = locks.hold(9, 30)) {
                order.add("waiter");
            }
        });
        while (waiter.getState() != Thread.State.WAITING) {
            Thread.onSpinWait();
        }
        locks.hold(30, 40).close();
        order.add("holder");
        low.close();
        waiter.join();
        assertThat(order).containsExactly("holder", "waiter");
    }

    private MemorySegment segment(byte[] content) {
        return arena.allocate(content.length, BLOCK).copyFrom(MemorySegment.ofArray(content));
    }

    private byte[] bytes(StorageFile storage, long offset, int length) throws IOException {
        MemorySegment buffer = arena.allocate(Math.max(1, length), BLOCK).asSlice(0, length);
        buffer.fill((byte) 0x5a);
        storage.read(buffer, offset);
        return buffer.toArray(ValueLayout.JAVA_BYTE);
    }

    private void write(Path path, byte[] content, long offset) throws IOException {
        try (StorageFile storage = StorageFile.open(HOST, path, StorageOptions.WRITE)) {
            storage.write(segment(content), offset);
            storage.sync();
        }
    }

    private static byte[] pattern(int length, int seed) {
        return SparseFiles.bytes(length, seed);
    }
}
