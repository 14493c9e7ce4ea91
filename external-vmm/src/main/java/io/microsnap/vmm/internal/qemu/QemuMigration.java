package io.microsnap.vmm.internal.qemu;

import io.microsnap.core.SnapshotException;
import io.microsnap.vmm.internal.wire.Json;
import io.microsnap.vmm.internal.wire.QmpConnection;
import io.microsnap.vmm.internal.wire.UnixConnection;
import java.io.IOException;
import java.nio.ByteBuffer;
import java.nio.file.Path;
import java.time.Duration;
import java.util.ArrayList;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import java.util.Optional;
import java.util.concurrent.TimeUnit;
import java.util.concurrent.locks.LockSupport;

/** Gets the state of QEMU's devices without its RAM, by a migration that skips shared memory. */
public final class QemuMigration {
    /** The last major release that skips memfds, too, and not only named files. */
    public static final int LAST_TO_SKIP_MEMFDS = 7;

    private static final String SKIP_SHARED = "x-ignore-shared";
    private static final String EVENTS = "events";
    private static final int USUAL_BYTES = 512 << 10;
    private static final long POLL_NANOS = TimeUnit.MICROSECONDS.toNanos(200);

    private final QmpConnection qmp;
    private final Duration patience;
    private final Map<String, Boolean> wanted;
    private final Map<String, Boolean> before;
    private StateReceiver receiver;
    private String uri;

    private QemuMigration(QmpConnection qmp, Duration patience, Map<String, Boolean> wanted,
            Map<String, Boolean> before) {
        this.qmp = qmp;
        this.patience = patience;
        this.wanted = wanted;
        this.before = before;
    }

    /** Queries QEMU's capabilities; throws if it cannot save its state. Changes nothing yet. */
    public static QemuMigration of(QmpConnection qmp, Duration patience) throws IOException {
        Map<String, Boolean> before = new LinkedHashMap<>();
        Map<String, Boolean> wanted = new LinkedHashMap<>();
        boolean known = false;
        for (Json capability : qmp.execute("query-migrate-capabilities", Map.of(), patience).list()) {
            String name = capability.get("capability").text();
            boolean is = capability.get("state").truth();
            boolean should = name.equals(SKIP_SHARED) || (name.equals(EVENTS) && is);
            known |= name.equals(SKIP_SHARED);
            if (is != should) {
                before.put(name, is);
                wanted.put(name, should);
            }
        }
        if (!known) {
            throw new SnapshotException("QEMU " + qmp.version() + " cannot save device state without RAM (it has no"
                    + " capability " + SKIP_SHARED + "); QEMU 4.0 and later can");
        }
        Json state = qmp.execute("query-migrate", Map.of(), patience);
        Optional<Json> blocked = state.find("blocked-reasons");
        if (blocked.isPresent() && !blocked.get().list().isEmpty()) {
            List<String> reasons = new ArrayList<>();
            for (Json reason : blocked.get().list()) {
                reasons.add(reason.text());
            }
            throw new SnapshotException("the state of this guest's devices cannot be saved: "
                    + String.join("; ", reasons));
        }
        Optional<Json> status = state.find("status");
        if (status.isPresent() && List.of("setup", "active", "device", "postcopy-active", "cancelling", "colo",
                "wait-unplug").contains(status.get().text())) {
            throw new SnapshotException("the guest is being migrated (" + status.get().text()
                    + "); bake it when that is over");
        }
        return new QemuMigration(qmp, patience, wanted, before);
    }

    /** Listens at this socket for the state. */
    public StateReceiver listen(Path socket) throws IOException {
        receiver = StateReceiver.listen(socket);
        uri = "unix:" + socket.toAbsolutePath();
        return receiver;
    }

    /**
     * Receives a made-up state of the usual length and writes it to the file, which the real state later replaces: the
     * code is then compiled, and the guest waits only for QEMU.
     */
    public void rehearse(Path socket, Path file) throws IOException {
        try (StateReceiver rehearsing = StateReceiver.listen(socket)) {
            try (UnixConnection sender = UnixConnection.open(socket, patience)) {
                sender.write(ByteBuffer.allocate(USUAL_BYTES).putInt(0, QemuState.MAGIC),
                        UnixConnection.deadline(patience));
            }
            rehearsing.awaitEnd(patience);
            rehearsing.writeTo(file);
        }
    }

    /** Sets the capabilities that saving needs. */
    public void prepare() throws IOException {
        set(wanted);
    }

    /** Returns the arguments that restore the capabilities. */
    public Map<String, Object> asItWas() {
        return arguments(before);
    }

    /** Restores the capabilities. */
    public void restoreCapabilities() throws IOException {
        set(before);
    }

    private void set(Map<String, Boolean> capabilities) throws IOException {
        if (!capabilities.isEmpty()) {
            qmp.execute("migrate-set-capabilities", arguments(capabilities), patience);
        }
    }

    private static Map<String, Object> arguments(Map<String, Boolean> capabilities) {
        List<Object> list = new ArrayList<>();
        capabilities.forEach((name, state) -> list.add(Map.of("capability", name, "state", state)));
        return Map.of("capabilities", list);
    }

    /** Saves the state of a paused guest's devices to a new file. */
    public void saveTo(Path file) throws IOException {
        qmp.execute("migrate", Map.of("uri", uri), patience);
        receiver.awaitEnd(patience);
        long deadline = System.nanoTime() + patience.toNanos();
        while (true) {
            Json state = qmp.execute("query-migrate", Map.of(), patience);
            String status = state.get("status").text();
            switch (status) {
                case "completed" -> {
                    receiver.writeTo(file);
                    return;
                }
                case "failed", "cancelled" -> {
                    Optional<Json> why = state.find("error-desc");
                    throw new SnapshotException("QEMU could not save the state of its devices: it " + status
                            + (why.isPresent() ? ": " + why.get().text() : ""));
                }
                default -> {
                    if (System.nanoTime() - deadline > 0) {
                        throw new SnapshotException("QEMU sent the state of its devices, but says '" + status
                                + "' for more than " + patience.toMillis() + " ms");
                    }
                    LockSupport.parkNanos(POLL_NANOS);
                }
            }
        }
    }
}
