package io.microsnap.testsupport;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;

import java.io.IOException;
import java.nio.ByteBuffer;
import java.nio.channels.FileChannel;
import java.nio.file.Files;
import java.nio.file.Path;
import java.nio.file.StandardOpenOption;
import org.junit.jupiter.api.Test;

final class RealFileSystemsTest {

    private static final int MIB = 1 << 20;

    @RealFileSystems
    void aTestGetsAnEmptyDirectoryOnTheFileSystemItIsNamedAfter(Path directory, FileSystemKind kind)
            throws IOException {
        assertThat(directory).isEmptyDirectory().isWritable();
        assertThat(Files.getFileStore(directory).type()).isEqualTo(kind.scratchName());
    }

    @RealFileSystems
    void fileSystemsThatShareBlocksCloneAndTheOthersRefuse(
            Path directory, FileSystemKind kind, ChildProcesses children) throws IOException {
        Path original = Files.write(directory.resolve("original"), new byte[4 * MIB]);
        Path clone = directory.resolve("clone");
        ChildProcess cp = children.command("cp", "--reflink=always", original.toString(), clone.toString());
        assertThat(cp.awaitExit().status() == 0).isEqualTo(kind.reflinks());
    }

    @RealFileSystems(FileSystemKind.XFS)
    void oneKindCanBeAskedForAlone(Path directory, FileSystemKind kind) {
        assertThat(kind).isEqualTo(FileSystemKind.XFS);
        assertThat(directory).exists();
    }

    @Test
    void theTinyFileSystemRunsOutOfSpaceBeforeSixteenMebibytes(@TinyFileSystem Path directory) throws IOException {
        Path big = directory.resolve("big");
        try (FileChannel file = FileChannel.open(big, StandardOpenOption.CREATE_NEW, StandardOpenOption.WRITE)) {
            assertThatThrownBy(() -> {
                for (int mebibyte = 0; mebibyte < 16; mebibyte++) {
                    file.write(ByteBuffer.allocate(MIB));
                }
            }).isInstanceOf(IOException.class).hasMessageContaining("No space left on device");
        }
    }

    @Test
    void twoTinyFileSystemsAreNotTheSame(@TinyFileSystem Path one, @TinyFileSystem Path other) throws IOException {
        Files.createFile(one.resolve("file"));
        assertThat(other.resolve("file")).doesNotExist();
    }

    @Test
    void aLoopDeviceIsABlockDeviceOfTheSizeAskedForThatDoesDirectIo(
            @LoopDevice(sizeMiB = 16) Path device, ChildProcesses children) {
        ChildProcess.Exit losetup = children.command(
                "losetup", "--noheadings", "--raw", "--output", "DIO,BACK-FILE", device.toString()).awaitExit();
        assertThat(losetup.output()).startsWith("1 ");
        assertThat(children.command("blockdev", "--getsize64", device.toString()).awaitExit().output().strip())
                .isEqualTo(Long.toString(16L * MIB));
    }
}
