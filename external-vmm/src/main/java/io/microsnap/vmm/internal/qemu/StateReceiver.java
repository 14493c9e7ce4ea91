package io.microsnap.vmm.internal.qemu;

import io.microsnap.core.SnapshotException;
import java.io.IOException;
import java.net.StandardProtocolFamily;
import java.net.UnixDomainSocketAddress;
import java.nio.ByteBuffer;
import java.nio.channels.FileChannel;
import java.nio.channels.ServerSocketChannel;
import java.nio.channels.SocketChannel;
import java.nio.file.Files;
import java.nio.file.Path;
import java.nio.file.StandardOpenOption;
import java.nio.file.attribute.PosixFilePermissions;
import java.time.Duration;
import java.util.ArrayList;
import java.util.List;

/**
 * Receives QEMU's device state on a Unix socket. Its thread only reads into memory, because a slow reader would block
 * QEMU's monitor.
 */
public final class StateReceiver implements AutoCloseable {
    private static final int CHUNK_BYTES = 1 << 20;
    private static final int MOST_CHUNKS = 256;

    private final ServerSocketChannel server;
    private final Path socket;
    private final Thread reader;
    private final List<ByteBuffer> chunks = new ArrayList<>();
    private volatile Throwable failure;

    private StateReceiver(ServerSocketChannel server, Path socket) {
        this.server = server;
        this.socket = socket;
        chunks.add(ByteBuffer.allocate(CHUNK_BYTES));
        reader = Thread.ofPlatform().daemon().name("qemu device state").unstarted(this::read);
    }

    /** Listens on this path, and reads in a separate thread. */
    public static StateReceiver listen(Path socket) throws IOException {
        ServerSocketChannel server = ServerSocketChannel.open(StandardProtocolFamily.UNIX);
        try {
            server.bind(UnixDomainSocketAddress.of(socket));
            // The directory protects the socket: QEMU may run as another user.
            Files.setPosixFilePermissions(socket, PosixFilePermissions.fromString("rw-rw-rw-"));
            StateReceiver receiver = new StateReceiver(server, socket);
            receiver.reader.start();
            return receiver;
        } catch (IOException | RuntimeException refused) {
            server.close();
            throw refused;
        }
    }

    private void read() {
        try (SocketChannel connection = server.accept()) {
            ByteBuffer chunk = chunks.getLast();
            while (connection.read(chunk) >= 0) {
                if (!chunk.hasRemaining()) {
                    if (chunks.size() == MOST_CHUNKS) {
                        throw new SnapshotException("QEMU's device state has more than " + MOST_CHUNKS + " MiB: RAM is"
                                + " in it. Is all of the guest's RAM in the one file?");
                    }
                    chunk = ByteBuffer.allocate(CHUNK_BYTES);
                    chunks.add(chunk);
                }
            }
        } catch (IOException | RuntimeException | Error thrown) {
            failure = thrown;
        }
    }

    /** Waits for the end of the stream. */
    public void awaitEnd(Duration patience) throws IOException {
        try {
            if (!reader.join(patience)) {
                throw new SnapshotException("QEMU did not send its device state within " + patience.toMillis() + " ms;"
                        + " can it reach the socket " + socket + " (another root directory, or a sandbox)?");
            }
        } catch (InterruptedException interrupted) {
            Thread.currentThread().interrupt();
            throw new SnapshotException("interrupted while QEMU sent its device state", interrupted);
        }
        if (failure != null) {
            throw new SnapshotException("QEMU's device state could not be read: " + failure.getMessage(), failure);
        }
    }

    /** Writes the received state to a file, replacing its content. */
    public void writeTo(Path file) throws IOException {
        ByteBuffer first = chunks.getFirst();
        if (first.position() < Integer.BYTES * 2 || first.getInt(0) != QemuState.MAGIC) {
            throw new SnapshotException("QEMU sent something other than its device state: it does not begin with QEVM");
        }
        // Replaced rather than overwritten: a VMM that runs as another user could have put a link here.
        Files.deleteIfExists(file);
        try (FileChannel channel = FileChannel.open(file, StandardOpenOption.CREATE_NEW, StandardOpenOption.WRITE)) {
            for (ByteBuffer chunk : chunks) {
                ByteBuffer content = chunk.duplicate().flip();
                while (content.hasRemaining()) {
                    channel.write(content);
                }
            }
        }
    }

    @Override
    public void close() throws IOException {
        server.close();
        Files.deleteIfExists(socket);
    }
}
