package io.microsnap.vmm.internal.wire;

import io.microsnap.core.SnapshotException;
import java.io.IOException;
import java.net.ConnectException;
import java.net.SocketException;
import java.net.StandardProtocolFamily;
import java.net.UnixDomainSocketAddress;
import java.nio.ByteBuffer;
import java.nio.channels.SelectionKey;
import java.nio.channels.Selector;
import java.nio.channels.SocketChannel;
import java.nio.file.Files;
import java.nio.file.NoSuchFileException;
import java.nio.file.Path;
import java.time.Duration;
import java.util.concurrent.TimeUnit;
import java.util.concurrent.locks.LockSupport;

/** A connection to a Unix stream socket; no read or write waits beyond its deadline. For one thread. */
public final class UnixConnection implements AutoCloseable {
    private static final long BETWEEN_ATTEMPTS_NANOS = 1_000_000;

    private final Path socket;
    private final SocketChannel channel;
    private final Selector selector;
    private final SelectionKey key;

    private UnixConnection(Path socket, SocketChannel channel) throws IOException {
        this.socket = socket;
        this.channel = channel;
        channel.configureBlocking(false);
        selector = Selector.open();
        key = channel.register(selector, 0);
    }

    /** Connects; waits only while the VMM's queue of clients is full. */
    public static UnixConnection open(Path socket, Duration patience) throws IOException {
        if (!Files.exists(socket)) {
            throw new NoSuchFileException(socket.toString(), null,
                    "there is no such socket; is the VMM running, and was it started with this socket?");
        }
        long deadline = deadline(patience);
        while (true) {
            try {
                return connect(socket);
            } catch (SocketException failure) {
                // The connection is refused for good, or the queue is full; a full queue empties when the VMM reads it.
                if (failure instanceof ConnectException || System.nanoTime() - deadline > 0) {
                    throw new SnapshotException(socket + ": cannot connect: " + failure.getMessage()
                            + "; is the VMM still running, and is this its socket?", failure);
                }
                LockSupport.parkNanos(BETWEEN_ATTEMPTS_NANOS);
            }
        }
    }

    private static UnixConnection connect(Path socket) throws IOException {
        SocketChannel channel = SocketChannel.open(StandardProtocolFamily.UNIX);
        try {
            channel.configureBlocking(false);
            if (!channel.connect(UnixDomainSocketAddress.of(socket))) {
                throw new SocketException("the connection was not established at once");
            }
            return new UnixConnection(socket, channel);
        } catch (IOException | RuntimeException failure) {
            channel.close();
            throw failure;
        }
    }

    /** Returns the deadline that is this far away, for {@link #read} and {@link #write}. */
    public static long deadline(Duration patience) {
        return System.nanoTime() + patience.toNanos();
    }

    /** Writes everything, or throws if the other side does not read it in time. */
    public void write(ByteBuffer bytes, long deadline) throws IOException {
        try {
            while (bytes.hasRemaining()) {
                if (channel.write(bytes) == 0) {
                    await(SelectionKey.OP_WRITE, deadline, "did not read the request");
                }
            }
        } catch (VmmTimeoutException late) {
            throw late;
        } catch (IOException broken) {
            throw new SnapshotException(socket + ": the VMM closed the connection; has it ended?", broken);
        }
    }

    /** Reads at least one byte; -1 at the end. */
    public int read(ByteBuffer into, long deadline) throws IOException {
        while (true) {
            int count;
            try {
                count = channel.read(into);
            } catch (IOException broken) {
                throw new SnapshotException(socket + ": the VMM closed the connection; has it ended?", broken);
            }
            if (count != 0) {
                return count;
            }
            await(SelectionKey.OP_READ, deadline, "did not answer");
        }
    }

    private void await(int operation, long deadline, String what) throws IOException {
        key.interestOps(operation);
        long left = deadline - System.nanoTime();
        if (left > 0) {
            selector.select(Math.max(1, TimeUnit.NANOSECONDS.toMillis(left)));
            selector.selectedKeys().clear();
        }
        if (deadline - System.nanoTime() <= 0) {
            throw new VmmTimeoutException(socket + ": the VMM " + what + " in time");
        }
        if (Thread.currentThread().isInterrupted()) {
            throw new SnapshotException(socket + ": interrupted while waiting for the VMM");
        }
    }

    /** Names the socket. */
    public Path socket() {
        return socket;
    }

    @Override
    public void close() throws IOException {
        try {
            selector.close();
        } finally {
            channel.close();
        }
    }
}
