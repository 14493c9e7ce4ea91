package io.microsnap.core.internal.posix;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;

import io.microsnap.core.testing.FaultyPosix;
import java.io.IOException;
import java.net.StandardProtocolFamily;
import java.net.UnixDomainSocketAddress;
import java.nio.channels.ServerSocketChannel;
import java.nio.file.Files;
import java.nio.file.NoSuchFileException;
import java.nio.file.Path;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.condition.EnabledOnOs;
import org.junit.jupiter.api.condition.OS;
import org.junit.jupiter.api.io.TempDir;

@EnabledOnOs(OS.LINUX)
class SocketPeerTest {
    @TempDir
    private Path directory;

    @Test
    void theProcessThatListensIsNamed() throws IOException {
        Path socket = directory.resolve("s");
        try (ServerSocketChannel server = ServerSocketChannel.open(StandardProtocolFamily.UNIX)) {
            server.bind(UnixDomainSocketAddress.of(socket));
            FaultyPosix posix = FaultyPosix.host();
            SocketPeer peer = SocketPeer.of(posix.posix(), socket);
            assertThat(peer.process()).isEqualTo((int) ProcessHandle.current().pid());
            assertThat(peer.user()).isEqualTo(Files.getAttribute(socket, "unix:uid"));
            assertThat(peer.group()).isEqualTo(Files.getAttribute(Path.of("/proc/self"), "unix:gid"));
            assertThat(posix.openDescriptors()).isEmpty();
        }
    }

    @Test
    void nobodyListening() throws IOException {
        Path socket = directory.resolve("s");
        assertThatThrownBy(() -> SocketPeer.of(Posix.host(), socket)).isInstanceOf(NoSuchFileException.class);
        try (ServerSocketChannel server = ServerSocketChannel.open(StandardProtocolFamily.UNIX)) {
            server.bind(UnixDomainSocketAddress.of(socket));
        }
        FaultyPosix posix = FaultyPosix.host();
        assertThatThrownBy(() -> SocketPeer.of(posix.posix(), socket)).hasMessageContaining("ECONNREFUSED: no process"
                + " listens");
        assertThat(posix.openDescriptors()).isEmpty();
    }

    @Test
    void aPathTooLongForASocketIsRefused() {
        assertThatThrownBy(() -> SocketPeer.of(Posix.host(), directory.resolve("x".repeat(120))))
                .hasMessageContaining("at most 107 bytes");
    }
}
