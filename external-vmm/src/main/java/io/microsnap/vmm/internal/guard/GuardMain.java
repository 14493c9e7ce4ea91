package io.microsnap.vmm.internal.guard;

import java.io.BufferedReader;
import java.io.IOException;
import java.io.InputStreamReader;
import java.io.OutputStream;
import java.net.StandardProtocolFamily;
import java.net.UnixDomainSocketAddress;
import java.nio.channels.Channels;
import java.nio.channels.SocketChannel;
import java.nio.charset.StandardCharsets;
import java.nio.file.DirectoryStream;
import java.nio.file.Files;
import java.nio.file.NoSuchFileException;
import java.nio.file.Path;
import java.util.List;
import java.util.concurrent.TimeUnit;
import java.util.concurrent.locks.LockSupport;

/**
 * The guard's own process: it waits for the end of its standard input, which comes when the process that started it
 * dies in whatever way. If that had a guest paused, the guest is resumed. Uses the JDK alone, so that it starts with
 * one directory or jar on its class path.
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
    /** What the guard says when it is ready. */
    static final String READY = "ready";

    private static final int ATTEMPTS = 1200;
    private static final long BETWEEN_ATTEMPTS_NANOS = TimeUnit.MILLISECONDS.toNanos(50);

    private GuardMain() {
    }

    /** See the class. */
    public static void main(String[] arguments) throws IOException {
        Path socket = Path.of(arguments[0]);
        boolean qmp = arguments[1].equals("qmp");
        Path scratch = Path.of(arguments[2]);
        List<String> requests = List.of(arguments).subList(3, arguments.length);
        // QMP serves one client after another: connected now, this one is the next when the first one dies.
        SocketChannel next = qmp ? connect(socket) : null;
        try (next) {
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
                System.err.println("microsnap: the guest behind " + socket + " may still be paused, and did not resume"
                        + " when asked; resume it by hand");
            }
            remove(scratch);
        }
    }

    private static SocketChannel connect(Path socket) throws IOException {
        SocketChannel channel = SocketChannel.open(StandardProtocolFamily.UNIX);
        channel.connect(UnixDomainSocketAddress.of(socket));
        return channel;
    }

    private static boolean resumeOverQmp(SocketChannel channel, List<String> requests) {
        try {
            BufferedReader answers = new BufferedReader(new InputStreamReader(Channels.newInputStream(channel),
                    StandardCharsets.UTF_8));
            OutputStream output = Channels.newOutputStream(channel);
            answers.readLine();
            accepted(output, answers, "{\"execute\": \"qmp_capabilities\", \"id\": \"guard\"}");
            boolean all = true;
            for (String request : requests) {
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

    private static boolean accepted(OutputStream output, BufferedReader answers, String request) throws IOException {
        output.write((request + "\n").getBytes(StandardCharsets.UTF_8));
        for (String line = answers.readLine(); line != null; line = answers.readLine()) {
            if (line.contains("\"id\": \"guard\"")) {
                return line.contains("\"return\"");
            }
        }
        throw new IOException("the VMM has ended");
    }

    private static boolean resumeOverHttp(Path socket, List<String> requests) {
        boolean all = true;
        for (String request : requests) {
            boolean done = false;
            for (int attempt = 0; !done && attempt < ATTEMPTS; attempt++) {
                if (attempt > 0) {
                    LockSupport.parkNanos(BETWEEN_ATTEMPTS_NANOS);
                }
                try (SocketChannel channel = connect(socket)) {
                    String[] parts = request.split(" ", 3);
                    String length = parts[2].isEmpty() ? "" : "Content-Length: "
                            + parts[2].getBytes(StandardCharsets.UTF_8).length + "\r\n";
                    Channels.newOutputStream(channel).write((parts[0] + " " + parts[1] + " HTTP/1.1\r\nHost:"
                            + " localhost\r\n" + length + "\r\n" + parts[2]).getBytes(StandardCharsets.UTF_8));
                    String status = new BufferedReader(new InputStreamReader(Channels.newInputStream(channel),
                            StandardCharsets.UTF_8)).readLine();
                    done = status != null && status.contains(" 2");
                } catch (IOException gone) {
                    // A VMM that has ended has no guest to resume.
                    return true;
                }
            }
            all &= done;
        }
        return all;
    }

    private static void remove(Path scratch) {
        try (DirectoryStream<Path> files = Files.newDirectoryStream(scratch)) {
            for (Path file : files) {
                Files.deleteIfExists(file);
            }
            Files.deleteIfExists(scratch);
        } catch (NoSuchFileException gone) {
            // The other process had come to it.
            return;
        } catch (IOException left) {
            System.err.println("microsnap: scratch files are left in " + scratch + ": " + left.getMessage());
        }
    }
}
