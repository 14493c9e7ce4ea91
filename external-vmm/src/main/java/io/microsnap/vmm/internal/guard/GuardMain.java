package io.microsnap.vmm.internal.guard;

import java.io.BufferedReader;
import java.io.IOException;
import java.io.InputStreamReader;
import java.io.OutputStream;
import java.net.StandardProtocolFamily;
import java.net.UnixDomainSocketAddress;
import java.nio.channels.Channels;
import java.nio.channels.ServerSocketChannel;
import java.nio.channels.SocketChannel;
import java.nio.charset.StandardCharsets;
import java.nio.file.DirectoryStream;
import java.nio.file.Files;
import java.nio.file.NoSuchFileException;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.List;
import java.util.concurrent.TimeUnit;
import java.util.concurrent.locks.LockSupport;

/**
 * Runs in the guard's own process: waits for the end of its standard input, which comes when the process that started
 * it dies in any way. If that process had a guest paused, the guard resumes the guest. It uses only the JDK, so that it
 * starts with one directory or jar on its class path.
 *
 * <p>Before it reports that it is ready, it runs the whole conversation once with itself: loading classes on a busy
 * machine takes most of a second, during which a guest would wait.
 *
 * <p>Arguments: the socket, {@code qmp} or {@code http}, a directory of scratch files to remove, and the requests, in
 * order. The first one resumes the guest. A QMP request is one line of JSON with {@code "id": "guard"}; an HTTP request
 * is a method, a path and a body with spaces between.
 */
final class GuardMain {
    /** Tells the guard that a guest is about to be paused. */
    static final int ARMED = 'A';
    /** Tells the guard that no guest is paused any more. */
    static final int DISARMED = 'D';
    /** Tells the guard that it is no longer needed. */
    static final int DISMISSED = 'Q';
    /** The guard's line when it is ready. */
    static final String READY = "ready";

    private static final int ATTEMPTS = 1200;
    private static final long BETWEEN_ATTEMPTS_NANOS = TimeUnit.MILLISECONDS.toNanos(50);
    private static final byte[] NEGOTIATION = bytes("{\"execute\": \"qmp_capabilities\", \"id\": \"guard\"}\n");
    private static final String QMP_ANSWER = "{\"return\": {}, \"id\": \"guard\"}\r\n";
    private static final String HTTP_ANSWER = "HTTP/1.1 204 \r\n\r\n";

    private GuardMain() {
    }

    /** Runs the guard: see the class. */
    public static void main(String[] arguments) throws IOException {
        Path socket = Path.of(arguments[0]);
        boolean qmp = arguments[1].equals("qmp");
        Path scratch = Path.of(arguments[2]);
        List<byte[]> requests = new ArrayList<>();
        for (String request : List.of(arguments).subList(3, arguments.length)) {
            requests.add(qmp ? bytes(request + "\n") : http(request));
        }
        // QMP serves one client after another: connected now, the guard is next when the first client dies.
        SocketChannel next = qmp ? connect(socket) : null;
        try (next) {
            rehearse(scratch.resolve("rehearsal"), qmp, requests);
            System.out.println(READY);
            System.out.flush();
            boolean armed = false;
            for (int said = System.in.read(); said >= 0; said = System.in.read()) {
                if (said == DISMISSED) {
                    return;
                }
                armed = said == ARMED || (said != DISARMED && armed);
            }
            if (armed && !(qmp ? resumeOverQmp(next, requests) : resumeOverHttp(socket, requests))) {
                System.err.println("microsnap: the guest behind " + socket + " may still be paused: the request to"
                        + " resume it failed; resume it by hand");
            }
            remove(scratch);
        }
    }

    private static byte[] bytes(String text) {
        return text.getBytes(StandardCharsets.UTF_8);
    }

    private static byte[] http(String request) {
        String[] parts = request.split(" ", 3);
        String length = parts[2].isEmpty() ? "" : "Content-Length: " + bytes(parts[2]).length + "\r\n";
        return bytes(parts[0] + " " + parts[1] + " HTTP/1.1\r\nHost: localhost\r\n" + length + "\r\n" + parts[2]);
    }

    private static SocketChannel connect(Path socket) throws IOException {
        SocketChannel channel = SocketChannel.open(StandardProtocolFamily.UNIX);
        channel.connect(UnixDomainSocketAddress.of(socket));
        return channel;
    }

    private static void rehearse(Path socket, boolean qmp, List<byte[]> requests) {
        try (ServerSocketChannel server = ServerSocketChannel.open(StandardProtocolFamily.UNIX)) {
            server.bind(UnixDomainSocketAddress.of(socket));
            try (SocketChannel channel = connect(socket); SocketChannel peer = server.accept()) {
                // Answers sent before the requests save the rehearsal a second thread.
                String answers = qmp ? "{}\r\n" + QMP_ANSWER.repeat(1 + requests.size()) : HTTP_ANSWER;
                Channels.newOutputStream(peer).write(bytes(answers));
                if (qmp) {
                    resumeOverQmp(channel, requests);
                } else {
                    accepted(channel, http("GET / "));
                }
            } finally {
                Files.delete(socket);
            }
        } catch (IOException notRehearsed) {
            // For example too long a path for a socket: the guard then works without rehearsal, a little slower.
            return;
        }
    }

    private static boolean resumeOverQmp(SocketChannel channel, List<byte[]> requests) {
        try {
            BufferedReader answers = reader(channel);
            OutputStream output = Channels.newOutputStream(channel);
            answers.readLine();
            accepted(output, answers, NEGOTIATION);
            boolean all = true;
            for (byte[] request : requests) {
                boolean done = accepted(output, answers, request);
                for (int attempt = 1; !done && attempt < ATTEMPTS; attempt++) {
                    LockSupport.parkNanos(BETWEEN_ATTEMPTS_NANOS);
                    done = accepted(output, answers, request);
                }
                all &= done;
            }
            return all;
        } catch (IOException gone) {
            // A VMM that has ended has no guest to resume.
            return true;
        }
    }

    private static BufferedReader reader(SocketChannel channel) {
        return new BufferedReader(new InputStreamReader(Channels.newInputStream(channel), StandardCharsets.UTF_8));
    }

    private static boolean accepted(OutputStream output, BufferedReader answers, byte[] request) throws IOException {
        output.write(request);
        for (String line = answers.readLine(); line != null; line = answers.readLine()) {
            if (line.contains("\"id\": \"guard\"")) {
                return line.contains("\"return\"");
            }
        }
        throw new IOException("the VMM has ended");
    }

    private static boolean resumeOverHttp(Path socket, List<byte[]> requests) {
        boolean all = true;
        for (byte[] request : requests) {
            boolean done = false;
            for (int attempt = 0; !done && attempt < ATTEMPTS; attempt++) {
                if (attempt > 0) {
                    LockSupport.parkNanos(BETWEEN_ATTEMPTS_NANOS);
                }
                try (SocketChannel channel = connect(socket)) {
                    done = accepted(channel, request);
                } catch (IOException gone) {
                    // A VMM that has ended has no guest to resume.
                    return true;
                }
            }
            all &= done;
        }
        return all;
    }

    private static boolean accepted(SocketChannel channel, byte[] request) throws IOException {
        Channels.newOutputStream(channel).write(request);
        String status = reader(channel).readLine();
        return status != null && status.contains(" 2");
    }

    private static void remove(Path scratch) {
        try (DirectoryStream<Path> files = Files.newDirectoryStream(scratch)) {
            for (Path file : files) {
                Files.deleteIfExists(file);
            }
            Files.deleteIfExists(scratch);
        } catch (NoSuchFileException gone) {
            // The other process had removed it.
            return;
        } catch (IOException left) {
            System.err.println("microsnap: scratch files are left in " + scratch + ": " + left.getMessage());
        }
    }
}
