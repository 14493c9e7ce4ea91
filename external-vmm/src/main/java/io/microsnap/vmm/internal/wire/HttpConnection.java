package io.microsnap.vmm.internal.wire;

import io.microsnap.core.SnapshotException;
import java.io.IOException;
import java.nio.ByteBuffer;
import java.nio.charset.StandardCharsets;
import java.nio.file.Path;
import java.time.Duration;
import java.util.Locale;
import java.util.OptionalLong;

/**
 * HTTP/1.1 over a Unix socket, the part that VMMs use: one request after another on one connection, with bodies of
 * known length. For one thread.
 */
public final class HttpConnection implements AutoCloseable {
    private static final int LONGEST_HEADERS = 64 << 10;
    private static final int LONGEST_QUOTED = 2000;
    private static final int LONGEST_BODY = 8 << 20;

    private final UnixConnection connection;
    private final ByteBuffer input = ByteBuffer.allocate(16 << 10).limit(0);

    private HttpConnection(UnixConnection connection) {
        this.connection = connection;
    }

    /** Connects. Sends nothing yet. */
    public static HttpConnection open(Path socket, Duration patience) throws IOException {
        return new HttpConnection(UnixConnection.open(socket, patience));
    }

    /**
     * A server's answer.
     *
     * @param status three digits
     * @param body its body; may be empty
     */
    public record Answer(int status, String body) {
        /** Returns whether the VMM did what the request asked. */
        public boolean isSuccess() {
            return status / 100 == 2;
        }

        /** Returns the body for a message: on one line, and not too long. */
        public String bodyText() {
            String text = body.substring(0, Math.min(body.length(), LONGEST_QUOTED));
            return text.replaceAll("\\p{Cntrl}+", " ").strip();
        }
    }

    /** Sends a request. An empty text means no body. */
    public Answer send(String method, String path, String body, Duration patience) throws IOException {
        byte[] content = body.getBytes(StandardCharsets.UTF_8);
        String headers = method + " " + path + " HTTP/1.1\r\nHost: localhost\r\nAccept: application/json\r\n"
                + (content.length == 0 ? "" : "Content-Type: application/json\r\nContent-Length: " + content.length
                + "\r\n") + "\r\n";
        byte[] head = headers.getBytes(StandardCharsets.UTF_8);
        ByteBuffer request = ByteBuffer.allocate(head.length + content.length).put(head).put(content).flip();
        long deadline = UnixConnection.deadline(patience);
        try {
            connection.write(request, deadline);
            return answer(deadline);
        } catch (VmmTimeoutException late) {
            throw new SnapshotException(socket() + ": no answer to " + method + " " + path + " within "
                    + patience.toMillis() + " ms; the VMM hangs, or its host is very busy", late);
        }
    }

    private Answer answer(long deadline) throws IOException {
        int[] left = {LONGEST_HEADERS};
        while (true) {
            int status = status(line(left, deadline));
            OptionalLong lengthBytes = OptionalLong.empty();
            for (String line = line(left, deadline); !line.isEmpty(); line = line(left, deadline)) {
                int colon = line.indexOf(':');
                if (colon < 0) {
                    throw refused("'" + printable(line) + "' is not a header");
                }
                String name = line.substring(0, colon).strip().toLowerCase(Locale.ROOT);
                String value = line.substring(colon + 1).strip();
                if (name.equals("content-length")) {
                    lengthBytes = OptionalLong.of(length(value));
                } else if (name.equals("transfer-encoding")) {
                    throw refused("the body has a transfer encoding, which no known VMM uses");
                }
            }
            if (status / 100 == 1) {
                continue;
            }
            return new Answer(status, body(status == 204 ? 0 : lengthBytes.orElse(0), deadline));
        }
    }

    private int status(String line) throws SnapshotException {
        if (!line.matches("HTTP/1\\.[01] [1-5][0-9][0-9]( .*)?")) {
            throw refused("'" + printable(line) + "' is not a status line");
        }
        return Integer.parseInt(line.substring(9, 12));
    }

    private long length(String value) throws SnapshotException {
        if (!value.matches("[0-9]{1,9}") || Long.parseLong(value) > LONGEST_BODY) {
            throw refused("a body of '" + printable(value) + "' bytes; at most " + LONGEST_BODY + " are read");
        }
        return Long.parseLong(value);
    }

    private String body(long lengthBytes, long deadline) throws IOException {
        byte[] body = new byte[Math.toIntExact(lengthBytes)];
        int filled = 0;
        while (filled < body.length) {
            require(deadline);
            int count = Math.min(body.length - filled, input.remaining());
            input.get(body, filled, count);
            filled += count;
        }
        return new String(body, StandardCharsets.UTF_8);
    }

    private String line(int[] left, long deadline) throws IOException {
        StringBuilder line = new StringBuilder();
        while (true) {
            require(deadline);
            char next = (char) (input.get() & 0xFF);
            if (next == '\n') {
                int end = line.length();
                return end > 0 && line.charAt(end - 1) == '\r' ? line.substring(0, end - 1) : line.toString();
            }
            if (--left[0] < 0) {
                throw refused("more than " + LONGEST_HEADERS + " bytes of headers");
            }
            line.append(next);
        }
    }

    private void require(long deadline) throws IOException {
        if (!input.hasRemaining()) {
            input.clear();
            int read = connection.read(input, deadline);
            input.flip();
            if (read < 0) {
                input.limit(0);
                throw new SnapshotException(socket() + ": the VMM closed the connection before it had answered; has it"
                        + " ended? Its log says why");
            }
        }
    }

    private SnapshotException refused(String why) {
        return new SnapshotException(socket() + ": the answer is not HTTP of the kind that VMMs use: " + why
                + "; is this the VMM's API socket?");
    }

    private static String printable(String text) {
        String shortened = text.length() > 80 ? text.substring(0, 80) + "..." : text;
        return shortened.replaceAll("[^ -~]", "?");
    }

    /** Names the socket. */
    public Path socket() {
        return connection.socket();
    }

    @Override
    public void close() throws IOException {
        connection.close();
    }
}
