package io.microsnap.vmm.internal.wire;

import io.microsnap.core.SnapshotException;
import java.io.IOException;
import java.nio.ByteBuffer;
import java.nio.charset.StandardCharsets;
import java.nio.file.Path;
import java.time.Duration;
import java.util.Arrays;
import java.util.LinkedHashMap;
import java.util.Map;
import java.util.Optional;

/**
 * QEMU's machine protocol: one JSON object in each line, answers in the order of commands, events in between. For one
 * thread.
 */
public final class QmpConnection implements AutoCloseable {
    private static final int LONGEST_LINE = 1 << 20;
    private static final int MOST_LINES_BETWEEN = 10_000;

    private final UnixConnection connection;
    private final ByteBuffer input = ByteBuffer.allocate(64 << 10).limit(0);
    private Json greeting;
    private long commands;

    private QmpConnection(UnixConnection connection) {
        this.connection = connection;
    }

    /** Connects and negotiates capabilities. */
    public static QmpConnection open(Path socket, Duration patience) throws IOException {
        QmpConnection qmp = new QmpConnection(UnixConnection.open(socket, patience));
        try {
            qmp.greet(patience);
            qmp.execute("qmp_capabilities", Map.of(), patience);
            return qmp;
        } catch (IOException | RuntimeException | Error failure) {
            qmp.close();
            throw failure;
        }
    }

    private void greet(Duration patience) throws IOException {
        try {
            Json line = Json.parse(socket() + ": the greeting", line(UnixConnection.deadline(patience)));
            greeting = line.get("QMP").get("version").get("qemu");
        } catch (VmmTimeoutException silent) {
            throw new SnapshotException(socket() + ": QEMU sends no greeting. A QMP monitor serves one client at a"
                    + " time, and another one may be connected: close it, or start QEMU with a second monitor (-qmp"
                    + " unix:PATH,server=on,wait=off)", silent);
        } catch (SnapshotException notQmp) {
            throw new SnapshotException(notQmp.getMessage() + "; is this a QMP socket (-qmp unix:PATH,server=on,wait="
                    + "off), and not that of the human monitor?", notQmp);
        }
    }

    /** Returns QEMU's version. */
    public Version version() throws SnapshotException {
        return new Version(greeting.get("major").number(), greeting.get("minor").number(),
                greeting.get("micro").number());
    }

    /**
     * A release of QEMU.
     *
     * @param major its first number
     * @param minor its second
     * @param micro its third
     */
    public record Version(long major, long minor, long micro) {
        @Override
        public String toString() {
            return major + "." + minor + "." + micro;
        }
    }

    /** Executes a command and returns its result; throws {@link QmpException} if QEMU refuses it. */
    public Json execute(String command, Map<String, ?> arguments, Duration patience) throws IOException {
        String id = "microsnap-" + ++commands;
        Map<String, Object> request = new LinkedHashMap<>();
        request.put("execute", command);
        if (!arguments.isEmpty()) {
            request.put("arguments", arguments);
        }
        request.put("id", id);
        long deadline = UnixConnection.deadline(patience);
        try {
            connection.write(ByteBuffer.wrap((Json.write(request, false) + "\n").getBytes(StandardCharsets.UTF_8)),
                    deadline);
            return answer(command, id, deadline);
        } catch (VmmTimeoutException late) {
            throw new SnapshotException(socket() + ": QEMU did not answer '" + command + "' within "
                    + patience.toMillis() + " ms; it hangs, or its host is very busy", late);
        }
    }

    private Json answer(String command, String id, long deadline) throws IOException {
        for (int lines = 0; lines < MOST_LINES_BETWEEN; lines++) {
            Json line = Json.parse(socket() + ": the answer to '" + command + "'", line(deadline));
            Optional<Json> answered = line.find("id");
            if (answered.isPresent() && answered.get().text().equals(id)) {
                Optional<Json> error = line.find("error");
                if (error.isPresent()) {
                    throw new QmpException(command, error.get().get("class").text(), error.get().get("desc").text());
                }
                return line.get("return");
            }
        }
        throw new SnapshotException(socket() + ": QEMU said " + MOST_LINES_BETWEEN + " lines without answering '"
                + command + "'");
    }

    private byte[] line(long deadline) throws IOException {
        byte[] line = new byte[256];
        int length = 0;
        while (true) {
            while (input.hasRemaining()) {
                byte next = input.get();
                if (next == '\n') {
                    return Arrays.copyOf(line, length);
                }
                if (length == LONGEST_LINE) {
                    throw new SnapshotException(socket() + ": a line of more than " + LONGEST_LINE
                            + " bytes, which is not an answer of QEMU");
                }
                if (length == line.length) {
                    line = Arrays.copyOf(line, Math.min(LONGEST_LINE, 2 * length));
                }
                line[length++] = next;
            }
            input.clear();
            int read = connection.read(input, deadline);
            input.flip();
            if (read < 0) {
                input.limit(0);
                throw new SnapshotException(socket() + ": QEMU closed the connection; it may have ended: its standard"
                        + " error says why");
            }
        }
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
