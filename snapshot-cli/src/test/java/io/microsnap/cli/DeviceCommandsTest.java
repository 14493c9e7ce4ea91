package io.microsnap.cli;

import static org.assertj.core.api.Assertions.assertThat;

import io.microsnap.core.internal.file.StorageFile;
import io.microsnap.core.internal.file.StorageOptions;
import io.microsnap.core.internal.posix.Posix;
import io.microsnap.core.testing.PageCache;
import io.microsnap.testsupport.ChildProcesses;
import io.microsnap.testsupport.FileSystemKind;
import io.microsnap.testsupport.LoopDevice;
import io.microsnap.testsupport.RealFileSystems;
import io.microsnap.testsupport.Seed;
import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.Map;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;
import org.junit.jupiter.api.parallel.Execution;
import org.junit.jupiter.api.parallel.ExecutionMode;

/** Commands past the page cache, and on block devices. */
@Execution(ExecutionMode.CONCURRENT)
class DeviceCommandsTest {
    private static final int MIB = 1 << 20;

    @TempDir
    Path directory;

    @RealFileSystems({FileSystemKind.XFS, FileSystemKind.EXT4})
    void aDirectBakeAndRestoreLeaveThePageCacheAsItWas(Path place, ChildProcesses processes, Seed seed)
            throws IOException {
        Launcher microsnap = new Launcher(processes, place);
        Path ram = ram(place.resolve("ram"), 64 * MIB, seed);
        PageCache.drop(ram);
        microsnap.run(0, "bake", "--direct", "--ram", "ram", "--store", "s", "--id", "a");
        microsnap.run(0, "restore", "--direct", "--store", "s", "--id", "a", "--to", "copy");
        // Of 192 MiB: the small files, and a large folio or two that the kernel used when they were to be dropped.
        assertThat(PageCache.residentBytes(place)).isLessThan(6 * MIB);
        assertThat(Files.mismatch(place.resolve("copy"), ram)).isEqualTo(-1);
        assertThat(microsnap.run(2, "restore", "--direct", "--store", "s", "--id", "a", "--qemu", "guest").errors())
                .contains("leave out --direct");
    }

    @Test
    void aGuestOnADeviceIsBakedRestoredAndCopied(@LoopDevice(sizeMiB = 16) Path device,
            @LoopDevice(sizeMiB = 20) Path other, ChildProcesses processes, Seed seed) throws IOException {
        Launcher microsnap = new Launcher(processes, directory);
        Path ram = ram(directory.resolve("ram"), 16 * MIB, seed);
        assertThat(microsnap.run(1, "copy", "ram", device.toString()).errors()).contains("replaced");
        microsnap.run(0, "copy", "ram", device.toString(), "--replace");
        microsnap.run(0, "bake", "--direct", "--ram", device.toString(), "--store", "s", "--id", "a");
        assertThat(microsnap.run(1, "restore", "--store", "s", "--id", "a", "--to", other.toString()).errors())
                .contains("replaced");
        assertThat(microsnap.run(0, "restore", "--direct", "--store", "s", "--id", "a", "--to", other.toString(),
                "--replace").output()).contains("4194304 bytes after the memory are unchanged");
        Map<?, ?> restored = microsnap.json(0, "restore", "--store", "s", "--id", "a", "--to", device.toString(),
                "--replace");
        assertThat(restored.get("bytes_behind")).isEqualTo(0L);
        microsnap.run(0, "copy", device.toString(), "back");
        assertThat(Files.mismatch(directory.resolve("back"), ram)).isEqualTo(-1);

        microsnap.run(0, "bake", "--ram", other.toString(), "--region", "0:16M", "--store", "s", "--id", "b");
        microsnap.run(0, "restore", "--store", "s", "--id", "b", "--to", "again");
        assertThat(Files.mismatch(directory.resolve("again"), ram)).isEqualTo(-1);
        microsnap.run(0, "bake", "--ram", other.toString(), "--store", "s", "--id", "large");
        assertThat(microsnap.run(1, "restore", "--store", "s", "--id", "large", "--to", device.toString(),
                "--replace").errors()).contains("larger device");
        try (StorageFile inUse = StorageFile.open(Posix.host(), device, StorageOptions.READ)) {
            String name = inUse.toString();
            assertThat(microsnap.run(1, "bake", "--ram", name, "--store", "s", "--id", "c").errors())
                    .contains("in use");
            assertThat(microsnap.run(1, "restore", "--store", "s", "--id", "a", "--to", name, "--replace").errors())
                    .contains("in use");
        }
    }

    private static Path ram(Path file, int bytes, Seed seed) throws IOException {
        byte[] content = new byte[bytes];
        new java.util.Random(seed.random().nextLong()).nextBytes(content);
        java.util.Arrays.fill(content, MIB, 3 * MIB, (byte) 0);
        return Files.write(file, content);
    }
}
