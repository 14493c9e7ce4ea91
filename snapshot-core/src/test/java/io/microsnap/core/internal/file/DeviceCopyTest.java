package io.microsnap.core.internal.file;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;

import io.microsnap.core.IfExists;
import io.microsnap.core.SnapshotException;
import io.microsnap.core.internal.posix.Posix;
import io.microsnap.testsupport.LoopDevice;
import java.io.IOException;
import java.lang.foreign.Arena;
import java.lang.foreign.MemorySegment;
import java.lang.foreign.ValueLayout;
import java.nio.file.FileAlreadyExistsException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.Arrays;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;

/** Copies from and to block devices hold every byte, and nothing else changes. */
class DeviceCopyTest {
    private static final Posix HOST = Posix.host();
    private static final int MIB = 1 << 20;
    private static final CopyOptions REPLACING = CopyOptions.DEFAULTS.with(IfExists.REPLACE);

    @TempDir
    Path directory;

    @Test
    void ontoADeviceHolesAreWrittenAsZerosAndTheRestStays(@LoopDevice(sizeMiB = 16) Path device) throws IOException {
        fill(device, 16 * MIB);
        Path file = SparseFiles.make(directory.resolve("file"), 8 * MIB + 100, MIB, MIB, 5 * MIB);
        assertThatThrownBy(() -> copy(file, device, CopyOptions.DEFAULTS))
                .isInstanceOf(FileAlreadyExistsException.class).hasMessageContaining("always holds something");
        assertThat(read(device, 0, 16 * MIB)).isEqualTo(SparseFiles.bytes(16 * MIB, 9));

        CopyResult result = copy(file, device, REPLACING);
        assertThat(result.sizeBytes()).isEqualTo(8 * MIB + 100);
        assertThat(read(device, 0, 8 * MIB + 100)).isEqualTo(Files.readAllBytes(file));
        byte[] behind = Arrays.copyOfRange(SparseFiles.bytes(16 * MIB, 9), 8 * MIB + 100, 16 * MIB);
        assertThat(read(device, 8 * MIB + 100, behind.length)).isEqualTo(behind);
    }

    @Test
    void aDeviceBecomesASparseFileAndGoesOntoAnother(
            @LoopDevice(sizeMiB = 16) Path device, @LoopDevice(sizeMiB = 16) Path other) throws IOException {
        fill(device, 3 * MIB);
        fill(other, 16 * MIB);
        Path file = directory.resolve("file");
        assertThat(copy(device, file, CopyOptions.DEFAULTS).method()).isEqualTo(CopyMethod.ZEROS_LEFT_OUT);
        byte[] expected = Arrays.copyOf(SparseFiles.bytes(3 * MIB, 9), 16 * MIB);
        assertThat(file).hasBinaryContent(expected);
        assertThat(SparseFiles.allocatedBytes(file)).isLessThan(4 * MIB);

        copy(device, other, REPLACING);
        assertThat(read(other, 0, 16 * MIB)).isEqualTo(expected);
    }

    @Test
    void whatCannotBeIsRefusedBeforeAnythingIsWritten(
            @LoopDevice(sizeMiB = 16) Path device, @LoopDevice(sizeMiB = 17) Path larger) throws IOException {
        fill(device, MIB);
        assertThatThrownBy(() -> copy(larger, device, REPLACING)).isInstanceOf(SnapshotException.class)
                .hasMessageContaining("nothing was written").hasMessageContaining(device.toString());
        assertThatThrownBy(() -> copy(device, larger, REPLACING.with(CopyStrategy.REFLINK)))
                .hasMessageContaining("cannot be cloned");
        try (StorageFile inUse = StorageFile.open(HOST, larger, StorageOptions.READ)) {
            assertThatThrownBy(() -> copy(device, larger, REPLACING)).hasMessageContaining("in use")
                    .hasMessageContaining(inUse.toString());
        }
        assertThat(read(device, 0, MIB)).isEqualTo(SparseFiles.bytes(MIB, 9));
        assertThat(read(larger, 0, MIB)).isEqualTo(new byte[MIB]);
    }

    private static CopyResult copy(Path from, Path to, CopyOptions options) throws IOException {
        return new FileCopy(new Reflink()).copy(HOST, from, to, options);
    }

    private static void fill(Path device, int length) throws IOException {
        try (StorageFile storage = StorageFile.open(HOST, device, StorageOptions.WRITE);
                Arena arena = Arena.ofConfined()) {
            storage.write(arena.allocate(length).copyFrom(MemorySegment.ofArray(SparseFiles.bytes(length, 9))), 0);
        }
    }

    private static byte[] read(Path device, long offset, int length) throws IOException {
        try (StorageFile storage = StorageFile.open(HOST, device, StorageOptions.READ);
                Arena arena = Arena.ofConfined()) {
            MemorySegment buffer = arena.allocate(length);
            storage.read(buffer, offset);
            return buffer.toArray(ValueLayout.JAVA_BYTE);
        }
    }
}
