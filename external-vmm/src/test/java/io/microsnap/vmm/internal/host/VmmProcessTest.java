package io.microsnap.vmm.internal.host;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;

import io.microsnap.core.internal.posix.Descriptor;
import io.microsnap.core.internal.posix.Posix;
import java.io.IOException;
import java.lang.foreign.Arena;
import java.net.StandardProtocolFamily;
import java.net.UnixDomainSocketAddress;
import java.nio.ByteBuffer;
import java.nio.channels.FileChannel;
import java.nio.channels.ServerSocketChannel;
import java.nio.file.Path;
import java.nio.file.StandardOpenOption;
import java.util.List;
import java.util.Optional;
import java.util.OptionalLong;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;

/** What of a process's files is taken for a guest's RAM; this JVM is the process. */
class VmmProcessTest {
    private static final long RAM_BYTES = 1 << 20;
    private static final long HALF = RAM_BYTES / 2;

    @Test
    void onlyAFileThatIsMappedSharedAndWholeIsRam(@TempDir Path directory) throws IOException {
        Path socket = directory.resolve("socket");
        Path file = directory.resolve("ram");
        try (ServerSocketChannel server = ServerSocketChannel.open(StandardProtocolFamily.UNIX);
                FileChannel ram = FileChannel.open(file, StandardOpenOption.CREATE_NEW, StandardOpenOption.READ,
                        StandardOpenOption.WRITE);
                Arena arena = Arena.ofConfined()) {
            server.bind(UnixDomainSocketAddress.of(socket));
            VmmProcess process = VmmProcess.behind(Posix.host(), socket, OptionalLong.empty());
            assertThat(process.pid()).isEqualTo(ProcessHandle.current().pid());
            ram.write(ByteBuffer.allocate(1), RAM_BYTES - 1);
            assertRefused(process, file);
            ram.map(FileChannel.MapMode.PRIVATE, 0, RAM_BYTES, arena);
            assertRefused(process, file);
            ram.map(FileChannel.MapMode.READ_WRITE, HALF, HALF, arena);
            assertRefused(process, file);
            ram.map(FileChannel.MapMode.READ_WRITE, 0, HALF - 4096, arena);
            assertRefused(process, file);
            ram.map(FileChannel.MapMode.READ_WRITE, 0, HALF, arena);
            for (Optional<Path> path : List.of(Optional.of(file), Optional.<Path>empty())) {
                try (Descriptor found = process.sharedRam(Posix.host(), path, RAM_BYTES, "RAM")) {
                    assertThat(found.sizeBytes()).isEqualTo(RAM_BYTES);
                }
            }
            assertThatThrownBy(() -> process.sharedRam(Posix.host(), Optional.of(socket), RAM_BYTES, "RAM"))
                    .as("another path").hasMessageContaining("RAM is not a file");
            assertThatThrownBy(() -> process.sharedRam(Posix.host(), Optional.of(file), HALF, "RAM"))
                    .as("another length").hasMessageContaining("RAM is not a file");
        }
    }

    private static void assertRefused(VmmProcess process, Path file) {
        assertThatThrownBy(() -> process.sharedRam(Posix.host(), Optional.of(file), RAM_BYTES, "RAM"))
                .hasMessageContaining("RAM is not a file that process " + process.pid() + " has mapped shared, whole");
    }
}
