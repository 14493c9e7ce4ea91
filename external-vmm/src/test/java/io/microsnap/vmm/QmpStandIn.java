package io.microsnap.vmm;

import io.microsnap.vmm.internal.wire.Json;
import java.io.BufferedReader;
import java.io.IOException;
import java.io.InputStreamReader;
import java.io.OutputStream;
import java.net.StandardProtocolFamily;
import java.net.UnixDomainSocketAddress;
import java.nio.ByteBuffer;
import java.nio.channels.Channels;
import java.nio.channels.FileChannel;
import java.nio.channels.ServerSocketChannel;
import java.nio.channels.SocketChannel;
import java.nio.charset.StandardCharsets;
import java.nio.file.Path;
import java.nio.file.StandardOpenOption;
import java.util.ArrayList;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;

/**
 * QEMU's monitor as far as a bake asks it, strict about order, for what a real QEMU does not do on demand: hang, die,
 * talk nonsense. Its RAM is a file that this process has mapped shared. One client at a time.
 */
final class QmpStandIn implements AutoCloseable {
    static final long RAM_BYTES = 1 << 20;
    static final String MACHINE = "pc-i440fx-7.2-machine";

    /** What it does in the place of a command. */
    enum Fault {
        HANGS, DIES, TALKS_NONSENSE, TALKS_MUCH_NONSENSE, REFUSES
    }

    private final ServerSocketChannel server;
    private final FileChannel ram;
    // Held, or it is no longer mapped.
    private final ByteBuffer mapped;
    private final Map<String, Object> answers = new LinkedHashMap<>();
    private final List<String> commands = new ArrayList<>();
    private String faultyCommand = "";
    private Fault fault = Fault.REFUSES;
    private boolean running = true;
    private boolean skipsShared;
    private String migrated = "";
    private volatile int major = 7;

    QmpStandIn(Path directory) throws IOException {
        Path file = directory.resolve("ram");
        ram = FileChannel.open(file, StandardOpenOption.CREATE, StandardOpenOption.READ, StandardOpenOption.WRITE);
        mapped = ram.map(FileChannel.MapMode.READ_WRITE, 0, RAM_BYTES).put(4096, (byte) 1);
        answers.put("query-memory-devices", List.of());
        answers.put("query-block", List.of());
        answers.put("/machine type", MACHINE);
        answers.put("/machine memory-backend", "/objects/ram");
        answers.put("/machine max-ram-below-4g", 0xE000_0000L);
        answers.put("/objects/ram size", RAM_BYTES);
        answers.put("/objects/ram share", true);
        answers.put("/objects/ram mem-path", file.toString());
        server = ServerSocketChannel.open(StandardProtocolFamily.UNIX);
        server.bind(UnixDomainSocketAddress.of(directory.resolve("qmp")));
        Thread.ofVirtual().start(this::serve);
    }

    /** Answers a query, or a property as "path name", so from now on. */
    synchronized QmpStandIn answering(String query, Object answer) {
        answers.put(query, answer);
        return this;
    }

    /** Does this the next time it is asked for the command. */
    synchronized QmpStandIn failing(String command, Fault how) {
        faultyCommand = command;
        fault = how;
        return this;
    }

    QmpStandIn ofMajorVersion(int number) {
        major = number;
        return this;
    }

    synchronized QmpStandIn paused() {
        running = false;
        return this;
    }

    synchronized boolean isRunning() {
        return running;
    }

    synchronized boolean skipsShared() {
        return skipsShared;
    }

    synchronized List<String> commands() {
        return List.copyOf(commands);
    }

    /** Waits until it was resumed, which the guard may do a moment later. */
    synchronized void awaitRunning() throws InterruptedException {
        while (!running || skipsShared) {
            wait();
        }
    }

    private void serve() {
        while (server.isOpen()) {
            try (SocketChannel client = server.accept()) {
                serve(client);
            } catch (IOException gone) {
                if (!server.isOpen()) {
                    return;
                }
            }
        }
    }

    private void serve(SocketChannel client) throws IOException {
        BufferedReader lines = new BufferedReader(new InputStreamReader(Channels.newInputStream(client),
                StandardCharsets.UTF_8));
        OutputStream output = Channels.newOutputStream(client);
        say(output, "{\"QMP\": {\"version\": {\"qemu\": {\"micro\": 2, \"minor\": 0, \"major\": " + major + "}}}}");
        boolean negotiated = false;
        for (String line = lines.readLine(); line != null; line = lines.readLine()) {
            Json request = Json.parse("request", line.getBytes(StandardCharsets.UTF_8));
            String command = request.get("execute").text();
            String id = request.get("id").text();
            if (negotiated == command.equals("qmp_capabilities")) {
                refuse(output, id, "not now");
                continue;
            }
            negotiated = true;
            if (!strikes(command, output, id)) {
                Object answer = answer(command, request);
                say(output, "{\"timestamp\": 1, \"event\": \"NOISE\"}");
                if (answer instanceof Refusal refusal) {
                    refuse(output, id, refusal.why());
                } else {
                    say(output, Json.write(new LinkedHashMap<>(Map.of("return", answer)), false)
                            .replaceFirst("\\}$", ", \"id\": \"" + id + "\"}"));
                }
            }
        }
    }

    private record Refusal(String why) {
    }

    private boolean strikes(String command, OutputStream output, String id) throws IOException {
        Fault now;
        synchronized (this) {
            commands.add(command);
            if (!command.equals(faultyCommand)) {
                return false;
            }
            faultyCommand = "";
            now = fault;
        }
        switch (now) {
            case HANGS -> {
                // The client goes away; whatever it asked meanwhile is not answered either.
            }
            case DIES -> {
                server.close();
                throw new IOException("died");
            }
            case TALKS_NONSENSE -> say(output, "<html>\u0001 nonsense");
            case TALKS_MUCH_NONSENSE -> output.write("x".repeat(10 << 20).getBytes(StandardCharsets.UTF_8));
            case REFUSES -> refuse(output, id, "refused\u0007 for a reason");
        }
        return true;
    }

    private synchronized Object answer(String command, Json request) throws IOException {
        Map<String, Object> nothing = Map.of();
        return switch (command) {
            case "query-status" -> answers.getOrDefault(command, Map.of("status",
                    running ? "running" : migrated.isEmpty() ? "paused" : "postmigrate", "running", running));
            case "stop" -> {
                running = false;
                yield nothing;
            }
            case "cont" -> {
                running = true;
                migrated = "";
                notifyAll();
                yield nothing;
            }
            case "query-migrate-capabilities" -> answers.getOrDefault(command, List.of(
                    Map.of("capability", "x-ignore-shared", "state", skipsShared),
                    Map.of("capability", "multifd", "state", !skipsShared)));
            case "migrate-set-capabilities" -> {
                for (Json capability : request.get("arguments").get("capabilities").list()) {
                    if (capability.get("capability").text().equals("x-ignore-shared")) {
                        skipsShared = capability.get("state").truth();
                    }
                }
                notifyAll();
                yield nothing;
            }
            case "migrate" -> migrate(request.get("arguments").get("uri").text());
            case "query-migrate" -> answers.getOrDefault(command, migrated.isEmpty() ? nothing
                    : Map.of("status", migrated));
            case "qom-get" -> {
                Object answer = answers.get(request.get("arguments").get("path").text() + " "
                        + request.get("arguments").get("property").text());
                yield answer == null ? new Refusal("Property not found") : answer;
            }
            default -> answers.getOrDefault(command, nothing);
        };
    }

    private Object migrate(String uri) throws IOException {
        if (!skipsShared || !migrated.isEmpty() || running) {
            return new Refusal("a stand-in's guest is stopped, skips shared RAM, and is saved once");
        }
        migrated = "completed";
        try (SocketChannel target = SocketChannel.open(UnixDomainSocketAddress.of(uri.substring("unix:".length())))) {
            target.write(ByteBuffer.wrap("QEVM\0\0\0\3 state".getBytes(StandardCharsets.UTF_8)));
        }
        return Map.of();
    }

    private static void refuse(OutputStream output, String id, String why) throws IOException {
        say(output, Json.write(Map.of("error", Map.of("class", "GenericError", "desc", why), "id", id), false));
    }

    private static void say(OutputStream output, String line) throws IOException {
        // QEMU puts a blank behind each colon and comma.
        output.write((line.replace("\"id\":\"", "\"id\": \"") + "\r\n").getBytes(StandardCharsets.UTF_8));
    }

    @Override
    public void close() throws IOException {
        mapped.put(4096, (byte) 0);
        server.close();
        ram.close();
    }
}
