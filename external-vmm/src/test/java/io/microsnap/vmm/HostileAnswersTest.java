package io.microsnap.vmm;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;

import io.microsnap.core.SnapshotException;
import io.microsnap.core.internal.posix.Posix;
import io.microsnap.testsupport.Effort;
import io.microsnap.testsupport.Seed;
import io.microsnap.vmm.internal.cloud.MemoryRanges;
import io.microsnap.vmm.internal.firecracker.StateFile;
import io.microsnap.vmm.internal.qemu.QemuDescription;
import io.microsnap.vmm.internal.wire.HttpConnection;
import io.microsnap.vmm.internal.wire.Json;
import io.microsnap.vmm.internal.wire.QmpConnection;
import java.io.IOException;
import java.net.StandardProtocolFamily;
import java.net.UnixDomainSocketAddress;
import java.nio.ByteBuffer;
import java.nio.channels.ServerSocketChannel;
import java.nio.channels.SocketChannel;
import java.nio.charset.StandardCharsets;
import java.nio.file.Files;
import java.nio.file.Path;
import java.time.Duration;
import java.util.Arrays;
import java.util.List;
import java.util.Map;
import java.util.Optional;
import java.util.SplittableRandom;
import java.util.concurrent.atomic.AtomicReference;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;

/** Whatever a VMM or a file says, the answer is a result or a clear failure. */
class HostileAnswersTest {
    private static final Duration PATIENCE = Duration.ofSeconds(60);
    private static final String QMP = "{\"QMP\": {\"version\": {\"qemu\": {\"micro\": 22, \"minor\": 2, \"major\": 7},"
            + " \"package\": \"x\"}, \"capabilities\": [\"oob\"]}}\r\n{\"return\": {}, \"id\": \"microsnap-1\"}\r\n"
            + "{\"timestamp\": {\"seconds\": 1}, \"event\": \"STOP\"}\r\n"
            + "{\"return\": {\"status\": \"running\", \"running\": true}, \"id\": \"microsnap-2\"}\r\n";
    private static final String HTTP = "HTTP/1.1 200 \r\nServer: x\r\nContent-Type: application/json\r\n"
            + "Content-Length: 21\r\n\r\n{\"state\": \"Running\"  }";
    private static final String RANGES = "{\"snapshots\": {\"memory-manager\": {\"snapshot_data\": {\"state\":"
            + " \"{\\\"memory_ranges\\\": {\\\"data\\\": [{\\\"gpa\\\": 4294967296, \\\"length\\\": 1048576},"
            + " {\\\"gpa\\\": 0, \\\"length\\\": 1048576}]}}\"}}}}";

    private interface Attempt {
        void with(byte[] bytes) throws IOException;
    }

    /** Bytes changed, cut, doubled or put in: one to four times. */
    private static byte[] mutated(byte[] original, SplittableRandom random) {
        byte[] bytes = original.clone();
        for (int change = 1 + random.nextInt(4); change > 0 && bytes.length > 0; change--) {
            int at = random.nextInt(bytes.length);
            switch (random.nextInt(5)) {
                case 0 -> bytes[at] = (byte) random.nextInt();
                case 1 -> bytes[at] ^= (byte) (1 << random.nextInt(8));
                case 2 -> bytes = Arrays.copyOf(bytes, at);
                case 3 -> bytes[at] = (byte) "0123456789-\"{}[]:,\\ \n".charAt(random.nextInt(20));
                default -> {
                    ByteBuffer longer = ByteBuffer.allocate(2 * bytes.length - at);
                    bytes = longer.put(bytes).put(bytes, at, bytes.length - at).array();
                }
            }
        }
        return bytes;
    }

    private static int campaign(byte[] original, SplittableRandom random, int attempts, Attempt attempt) {
        int refused = 0;
        long start = System.nanoTime();
        for (int count = 0; count < attempts; count++) {
            byte[] bytes = mutated(original, random);
            try {
                attempt.with(bytes);
            } catch (SnapshotException clear) {
                assertThat(clear.getMessage()).isNotBlank();
                refused++;
            } catch (IOException | RuntimeException unclear) {
                throw new AssertionError("not a clear failure for: "
                        + new String(bytes, StandardCharsets.ISO_8859_1), unclear);
            }
        }
        Runtime runtime = Runtime.getRuntime();
        System.out.println(attempts + " mutants, " + refused + " refused, "
                + (System.nanoTime() - start) / 1_000_000 + " ms, heap "
                + ((runtime.totalMemory() - runtime.freeMemory()) >> 20) + " MiB");
        return refused;
    }

    @Test
    void filesAndTables(Seed seed, @TempDir Path directory) throws IOException {
        int attempts = Effort.choose(2_000, 3_000, 34_000);
        assertThat(MemoryRanges.parse("state", RANGES.getBytes(StandardCharsets.UTF_8)).layout(4096).regions())
                .hasSize(2);
        assertThat(campaign(RANGES.getBytes(StandardCharsets.UTF_8), seed.random(), attempts,
                bytes -> MemoryRanges.parse("state", bytes).layout(4096))).isPositive();
        byte[] description = new QemuDescription("7.2.22", "pc-q35-7.2", "ram", Optional.of("/ram"), 1 << 20, "/qmp",
                List.of("qemu", "-m", "1"), Map.of("/disk", "disk")).toJson().getBytes(StandardCharsets.UTF_8);
        assertThat(QemuDescription.parse("d", description).disks()).containsEntry("/disk", "disk");
        assertThat(campaign(description, seed.random(), attempts, bytes -> QemuDescription.parse("d", bytes)))
                .isPositive();
        Path state = directory.resolve("vmstate");
        byte[] content = new byte[200];
        seed.random().nextBytes(content);
        byte[] whole = FirecrackerStandIn.withChecksum(content);
        assertThat(campaign(whole, seed.random(), attempts, bytes -> {
            Files.write(state, bytes);
            StateFile.requireWhole(Posix.host(), state);
        })).as("all but those that were changed back").isGreaterThan(attempts - attempts / 100);
    }

    @Test
    void answers(Seed seed, @TempDir Path directory) throws IOException {
        int attempts = Effort.choose(500, 1_500, 34_000);
        Path socket = directory.resolve("s");
        AtomicReference<byte[]> said = new AtomicReference<>(new byte[0]);
        try (ServerSocketChannel server = ServerSocketChannel.open(StandardProtocolFamily.UNIX)) {
            server.bind(UnixDomainSocketAddress.of(socket));
            Thread.ofVirtual().start(() -> talk(server, said));
            Attempt qmp = bytes -> {
                said.set(bytes);
                try (QmpConnection connection = QmpConnection.open(socket, PATIENCE)) {
                    connection.version();
                    connection.execute("query-status", Map.of(), PATIENCE).get("status").text();
                }
            };
            qmp.with(QMP.getBytes(StandardCharsets.UTF_8));
            assertThat(campaign(QMP.getBytes(StandardCharsets.UTF_8), seed.random(), attempts, qmp)).isPositive();
            Attempt http = bytes -> {
                said.set(bytes);
                try (HttpConnection connection = HttpConnection.open(socket, PATIENCE)) {
                    connection.send("GET", "/", "", PATIENCE).bodyText();
                }
            };
            http.with(HTTP.getBytes(StandardCharsets.UTF_8));
            assertThat(campaign(HTTP.getBytes(StandardCharsets.UTF_8), seed.random(), attempts, http)).isPositive();
        }
    }

    @Test
    void tablesBeyondABoundAreRefused() throws SnapshotException {
        assertThat(table("{'gpa': 0, 'length': 4096}")).isPositive();
        assertTableRefused("{'gpa': 0, 'length': 0}", "cannot be");
        assertTableRefused("{'gpa': 9223372036854771712, 'length': 8192}", "cannot be");
        assertTableRefused("{'gpa': 0, 'length': 6000000000000000000}, {'gpa': 0, 'length': 6000000000000000000}",
                "cannot be");
        assertTableRefused("{'gpa': 0, 'length': 8192}, {'gpa': 4096, 'length': 4096}", "overlap at 4096");
        assertTableRefused("{'gpa': 0, 'length': 100}", "begin and end on pages");
        assertTableRefused("{'gpa': 100, 'length': 4096}", "begin and end on pages");
        assertTableRefused("{'gpa': 0, 'length': 4096}, ".repeat(1 << 16) + "{'gpa': 0, 'length': 4096}", "at most");
        assertThatThrownBy(() -> Json.parse("deep", ("[".repeat(65) + "]".repeat(65)).getBytes(StandardCharsets.UTF_8)))
                .isInstanceOf(SnapshotException.class).hasMessageContaining("is not JSON");
    }

    private static int table(String ranges) throws SnapshotException {
        String state = "{\"memory_ranges\": {\"data\": [" + ranges.replace('\'', '"') + "]}}";
        String document = Json.write(Map.of("snapshots", Map.of("memory-manager", Map.of("snapshot_data",
                Map.of("state", state)))), false);
        return MemoryRanges.parse("state", document.getBytes(StandardCharsets.UTF_8)).layout(4096).regions().size();
    }

    private static void assertTableRefused(String ranges, String message) {
        assertThatThrownBy(() -> table(ranges)).isInstanceOf(SnapshotException.class).hasMessageContaining(message);
    }

    @Test
    void answersBeyondABoundAreRefused(@TempDir Path directory) throws IOException {
        Path socket = directory.resolve("s");
        AtomicReference<byte[]> said = new AtomicReference<>(new byte[0]);
        try (ServerSocketChannel server = ServerSocketChannel.open(StandardProtocolFamily.UNIX)) {
            server.bind(UnixDomainSocketAddress.of(socket));
            Thread.ofVirtual().start(() -> talk(server, said));
            Map<String, String> http = Map.of("X: y\r\n".repeat(100_000), "bytes of headers",
                    "Content-Length: 999999999\r\n\r\n", "at most", "Content-Length: -1\r\n\r\n", "at most",
                    "Content-Length: 99999999999\r\n\r\n", "at most",
                    "Transfer-Encoding: chunked\r\n\r\n", "transfer encoding",
                    "Content-Length: 7\r\n\r\n{}", "closed the connection");
            for (Map.Entry<String, String> answer : http.entrySet()) {
                said.set(("HTTP/1.1 200 \r\n" + answer.getKey()).getBytes(StandardCharsets.UTF_8));
                try (HttpConnection connection = HttpConnection.open(socket, PATIENCE)) {
                    assertThatThrownBy(() -> connection.send("GET", "/", "", PATIENCE))
                            .isInstanceOf(SnapshotException.class).hasMessageContaining(answer.getValue());
                }
            }
            String negotiated = QMP.lines().limit(2).reduce("", (first, line) -> first + line + "\r\n");
            Map<String, String> qmp = Map.of("x".repeat((1 << 20) + 1), "a line of more than",
                    "{\"event\": \"x\"}\r\n".repeat(10_000), "without answering");
            for (Map.Entry<String, String> answer : qmp.entrySet()) {
                said.set((negotiated + answer.getKey()).getBytes(StandardCharsets.UTF_8));
                try (QmpConnection connection = QmpConnection.open(socket, PATIENCE)) {
                    assertThatThrownBy(() -> connection.execute("stop", Map.of(), PATIENCE))
                            .isInstanceOf(SnapshotException.class).hasMessageContaining(answer.getValue());
                }
            }
        }
    }

    /** Says everything at once and hangs up when the client does, or has been told all. */
    private static void talk(ServerSocketChannel server, AtomicReference<byte[]> said) {
        while (server.isOpen()) {
            try (SocketChannel client = server.accept()) {
                ByteBuffer bytes = ByteBuffer.wrap(said.get());
                while (bytes.hasRemaining()) {
                    client.write(bytes);
                }
                client.shutdownOutput();
                ByteBuffer heard = ByteBuffer.allocate(4096);
                while (client.read(heard.clear()) >= 0) {
                    heard.clear();
                }
            } catch (IOException gone) {
                if (!server.isOpen()) {
                    return;
                }
            }
        }
    }
}
