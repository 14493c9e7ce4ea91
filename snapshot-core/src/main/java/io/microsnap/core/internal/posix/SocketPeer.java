package io.microsnap.core.internal.posix;

import io.microsnap.core.SnapshotException;
import java.io.IOException;
import java.lang.foreign.Arena;
import java.lang.foreign.MemorySegment;
import java.lang.foreign.ValueLayout;
import java.nio.charset.StandardCharsets;
import java.nio.file.Path;

/**
 * Names the process that listens on a Unix socket, as the kernel noted it when it began to listen. Linux.
 *
 * @param process its number in this process's PID namespace; zero if it has none there
 * @param user its user
 * @param group its group
 */
public record SocketPeer(int process, int user, int group) {
    private static final int LONGEST_PATH = 107;
    private static final int CREDENTIAL_BYTES = 3 * Integer.BYTES;

    /** Asks the kernel, over a connection that sends nothing and is closed again. Never waits. */
    public static SocketPeer of(Posix posix, Path socket) throws IOException {
        byte[] path = socket.toString().getBytes(StandardCharsets.UTF_8);
        if (path.length > LONGEST_PATH) {
            throw new SnapshotException(socket + ": the path of a Unix socket has at most " + LONGEST_PATH
                    + " bytes; use a shorter one, such as a symbolic link in /run");
        }
        Constants constants = posix.constants();
        int number = posix.socket(constants.AF_UNIX,
                constants.SOCK_STREAM | constants.SOCK_CLOEXEC | constants.SOCK_NONBLOCK, 0);
        if (number < 0) {
            throw SystemCallException.of(posix, number, "socket", socket.toString(), "");
        }
        try (Descriptor descriptor = Descriptor.adopt(posix, number, socket.toString());
                Arena arena = Arena.ofConfined()) {
            MemorySegment address = arena.allocate(Short.BYTES + path.length + 1);
            address.set(ValueLayout.JAVA_SHORT, 0, (short) constants.AF_UNIX);
            MemorySegment.copy(path, 0, address, ValueLayout.JAVA_BYTE, Short.BYTES, path.length);
            descriptor.check("connect", descriptor.uninterrupted(() -> posix.connect(number, address)), "");
            MemorySegment credentials = arena.allocate(CREDENTIAL_BYTES, Integer.BYTES);
            descriptor.check("getsockopt(SO_PEERCRED)", posix.getsockopt(number, constants.SOL_SOCKET,
                    constants.SO_PEERCRED, credentials), "");
            return new SocketPeer(credentials.get(ValueLayout.JAVA_INT, 0),
                    credentials.get(ValueLayout.JAVA_INT, Integer.BYTES),
                    credentials.get(ValueLayout.JAVA_INT, 2 * Integer.BYTES));
        }
    }
}
