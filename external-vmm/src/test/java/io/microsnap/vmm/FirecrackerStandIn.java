package io.microsnap.vmm;

import io.microsnap.core.SnapshotException;
import io.microsnap.vmm.internal.wire.Json;
import java.io.IOException;
import java.io.RandomAccessFile;
import java.nio.ByteBuffer;
import java.nio.ByteOrder;
import java.nio.charset.StandardCharsets;
import java.nio.file.Files;
import java.nio.file.Path;
import java.nio.file.StandardOpenOption;
import java.util.Arrays;
import java.util.BitSet;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import java.util.Set;

/**
 * Firecracker as far as a snapshot asks it: its states and the order of calls, unknown fields refused, the two files as
 * it writes them (full: dense; diff: what was written since the last create, merged into a file of the right length).
 */
final class FirecrackerStandIn extends HttpStandIn {
    static final int PAGE = 4096;
    static final int MIB = 4;

    final byte[] ram = new byte[MIB << 20];
    private final BitSet written = new BitSet();
    private final Path root;
    private final Map<String, Object> machine = new LinkedHashMap<>(Map.of("mem_size_mib", (long) MIB,
            "vcpu_count", 1L, "track_dirty_pages", true));
    private final Map<String, Object> configuration = new LinkedHashMap<>();
    private String version = "1.13.1";
    private String state = "Running";

    /** A guest whose Firecracker sees this directory as its root. */
    FirecrackerStandIn(Path socket, Path root) throws IOException {
        super(socket, 51_200);
        this.root = root;
        configuration.put("drives", List.of());
        configuration.put("machine-config", machine);
    }

    synchronized void version(String text) {
        version = text;
    }

    synchronized void configured(String key, Object value) {
        configuration.put(key, value);
    }

    synchronized void machine(String key, Object value) {
        machine.put(key, value);
    }

    synchronized void state(String now) {
        state = now;
        notifyAll();
    }

    synchronized String state() {
        return state;
    }

    synchronized void awaitRunning() throws InterruptedException {
        while (!state.equals("Running")) {
            wait();
        }
    }

    /** The guest writes a byte. */
    synchronized void write(int offset, int value) {
        ram[offset] = (byte) value;
        written.set(offset / PAGE);
    }

    @Override
    Answer refusal(String why) {
        return new Answer(400, Json.write(Map.of("fault_message", why), false));
    }

    @Override
    synchronized Answer answer(String call, String body) throws IOException {
        switch (call) {
            case "GET /version" -> {
                return found(Map.of("firecracker_version", version));
            }
            case "GET /" -> {
                return found(Map.of("id", "stand-in", "state", state, "vmm_version", version, "app_name",
                        "Firecracker"));
            }
            case "GET /vm/config" -> {
                return found(configuration);
            }
            default -> {
                return change(call, Json.parse("body", body.getBytes(StandardCharsets.UTF_8)));
            }
        }
    }

    private static Answer found(Map<String, ?> what) {
        return new Answer(200, Json.write(what, false));
    }

    private Answer change(String call, Json body) throws IOException {
        switch (call) {
            case "PATCH /vm" -> {
                String wanted = body.get("state").text();
                if (state.equals("Not started") || !Set.of("Paused", "Resumed").contains(wanted)) {
                    return refusal("The requested operation is not supported before starting the microVM.");
                }
                state(wanted.equals("Resumed") ? "Running" : "Paused");
                return Answer.DONE;
            }
            case "PUT /snapshot/create" -> {
                if (!state.equals("Paused")) {
                    return refusal("Create snapshot error: save/restore unavailable while running");
                }
                create(body);
                return Answer.DONE;
            }
            case "PUT /snapshot/load" -> {
                return load(body);
            }
            default -> {
                return refusal("Invalid request method and/or path: " + call);
            }
        }
    }

    private Path path(Json json) throws SnapshotException {
        return root.resolve(json.text().substring(1));
    }

    private void create(Json body) throws IOException {
        ram[0]++;
        written.set(0);
        byte[] vmstate = Arrays.copyOf("a state in a form of its own".getBytes(StandardCharsets.UTF_8), 64);
        Files.write(path(body.get("snapshot_path")), withChecksum(vmstate), StandardOpenOption.CREATE,
                StandardOpenOption.TRUNCATE_EXISTING, StandardOpenOption.WRITE);
        boolean full = body.get("snapshot_type").text().equals("Full");
        try (RandomAccessFile file = new RandomAccessFile(path(body.get("mem_file_path")).toFile(), "rw")) {
            if (file.length() != ram.length) {
                file.setLength(0);
                file.setLength(ram.length);
            }
            for (int page = 0; page < ram.length / PAGE; page++) {
                if (full || written.get(page)) {
                    file.seek((long) page * PAGE);
                    file.write(ram, page * PAGE, PAGE);
                }
            }
        }
        written.clear();
    }

    private Answer load(Json body) throws IOException {
        if (!state.equals("Not started")) {
            return refusal("The requested operation is not supported after starting the microVM.");
        }
        Json backend = body.get("mem_backend");
        byte[] memory = Files.readAllBytes(path(backend.get("backend_path")));
        if (!backend.get("backend_type").text().equals("File") || memory.length < ram.length
                || !Files.exists(path(body.get("snapshot_path")))) {
            return refusal("Load snapshot error: the files do not fit");
        }
        System.arraycopy(memory, 0, ram, 0, ram.length);
        state(body.get("resume_vm").truth() ? "Running" : "Paused");
        return Answer.DONE;
    }

    /** A content with Firecracker's checksum behind it, bit by bit. */
    static byte[] withChecksum(byte[] content) {
        long crc = 0;
        for (byte next : content) {
            crc ^= next & 0xFF;
            for (int bit = 0; bit < 8; bit++) {
                crc = (crc & 1) == 0 ? crc >>> 1 : (crc >>> 1) ^ Long.reverse(0xAD93D23594C935A9L);
            }
        }
        return ByteBuffer.allocate(content.length + 8).order(ByteOrder.LITTLE_ENDIAN).put(content).putLong(crc).array();
    }
}
