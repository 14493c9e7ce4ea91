package io.microsnap.vmm;

import io.microsnap.vmm.internal.wire.Json;
import java.io.IOException;
import java.nio.ByteBuffer;
import java.nio.channels.FileChannel;
import java.nio.charset.StandardCharsets;
import java.nio.file.FileAlreadyExistsException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.nio.file.StandardOpenOption;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;

/**
 * Cloud Hypervisor as far as a snapshot asks it: its states, its error bodies, its directory, whose files it creates
 * exclusively. Its memory zones are written in an order that is not that of addresses.
 */
final class CloudHypervisorStandIn extends HttpStandIn {
    static final int ZONE = 1 << 20;
    static final int ZONES = 3;

    final byte[] ram = new byte[ZONES * ZONE];
    private final Map<String, Object> memory = new LinkedHashMap<>();
    private List<Integer> fileOrder = List.of(2, 0, 1);
    private String state = "Running";

    CloudHypervisorStandIn(Path socket) throws IOException {
        super(socket, 4 << 20);
        List<Object> zones = new ArrayList<>();
        for (int zone = 0; zone < ZONES; zone++) {
            zones.add(Map.of("id", "zone" + zone, "size", (long) ZONE));
        }
        memory.put("size", 0L);
        memory.put("zones", zones);
    }

    synchronized void memory(String key, Object value) {
        memory.put(key, value);
    }

    synchronized void writesInOrder(Integer... zones) {
        fileOrder = List.of(zones);
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

    @Override
    Answer refusal(String why) {
        return new Answer(500, Json.write(List.of("Error from API", "The VM could not do it", why), false));
    }

    @Override
    synchronized Answer answer(String call, String body) throws IOException {
        return switch (call) {
            case "GET /api/v1/vm.info" -> state.equals("None") ? new Answer(404, "[\"VM is not created\"]")
                    : new Answer(200, Json.write(Map.of("config", Map.of("memory", memory, "disks", List.of()),
                            "state", state), false));
            case "PUT /api/v1/vm.pause" -> transition("Running", "Paused", body);
            case "PUT /api/v1/vm.resume" -> transition("Paused", "Running", body);
            case "PUT /api/v1/vm.snapshot" -> snapshot(body);
            case "PUT /api/v1/vm.restore" -> restore(body);
            default -> new Answer(404, "[\"Not found\"]");
        };
    }

    private Answer transition(String from, String to, String body) {
        if (!state.equals(from) || !body.isEmpty()) {
            return refusal("Invalid transition");
        }
        state(to);
        return Answer.DONE;
    }

    private static Path directory(String body, String key) throws IOException {
        String url = Json.parse("body", body.getBytes(StandardCharsets.UTF_8)).get(key).text();
        return Path.of(url.substring("file://".length()));
    }

    String stateJson() {
        List<Object> table = new ArrayList<>();
        for (int zone : fileOrder) {
            table.add(Map.of("gpa", (long) zone * ZONE, "length", (long) ZONE));
        }
        String manager = Json.write(Map.of("memory_ranges", Map.of("data", table), "guest_ram_mappings", List.of()),
                false);
        return Json.write(Map.of("snapshots", Map.of("memory-manager", Map.of("snapshot_data",
                Map.of("state", manager)))), false);
    }

    private Answer snapshot(String body) throws IOException {
        Path directory = directory(body, "destination_url");
        if (!state.equals("Paused") || !Files.isDirectory(directory)) {
            return refusal("VM is not paused, or there is no such directory");
        }
        try {
            write(directory.resolve("config.json"), "{\"memory\": {}}".getBytes(StandardCharsets.UTF_8));
            write(directory.resolve("state.json"), stateJson().getBytes(StandardCharsets.UTF_8));
            ByteBuffer ranges = ByteBuffer.allocate(ram.length);
            fileOrder.forEach(zone -> ranges.put(ram, zone * ZONE, ZONE));
            write(directory.resolve("memory-ranges"), ranges.array());
        } catch (FileAlreadyExistsException taken) {
            return refusal("File exists");
        }
        return Answer.DONE;
    }

    private static void write(Path file, byte[] content) throws IOException {
        try (FileChannel made = FileChannel.open(file, StandardOpenOption.CREATE_NEW, StandardOpenOption.WRITE)) {
            made.write(ByteBuffer.wrap(content));
        }
    }

    private Answer restore(String body) throws IOException {
        Path directory = directory(body, "source_url");
        byte[] memoryRanges = Files.readAllBytes(directory.resolve("memory-ranges"));
        byte[] written = Files.readAllBytes(directory.resolve("state.json"));
        if (!state.equals("None") || !Arrays.equals(written, stateJson().getBytes(StandardCharsets.UTF_8))
                || memoryRanges.length != ram.length) {
            return refusal("Cannot restore");
        }
        for (int index = 0; index < ZONES; index++) {
            System.arraycopy(memoryRanges, index * ZONE, ram, fileOrder.get(index) * ZONE, ZONE);
        }
        state("Paused");
        return Answer.DONE;
    }
}
