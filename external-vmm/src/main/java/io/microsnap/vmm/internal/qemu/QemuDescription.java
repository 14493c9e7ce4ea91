package io.microsnap.vmm.internal.qemu;

import io.microsnap.core.SnapshotException;
import io.microsnap.vmm.internal.wire.Json;
import java.util.ArrayList;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import java.util.Optional;

/**
 * The facts about a QEMU, beside RAM and device state, that starting a copy needs; stored as an attachment.
 *
 * @param version its release
 * @param machine its machine type, versioned
 * @param ramId the id of the memory backend
 * @param ramPath the backend's file; empty for a memfd
 * @param ramBytes its length
 * @param socket the QMP socket it was baked over
 * @param command the words that started it, without secrets
 * @param disks the stored disks: their paths, and the names of their attachments
 */
public record QemuDescription(String version, String machine, String ramId, Optional<String> ramPath, long ramBytes,
        String socket, List<String> command, Map<String, String> disks) {
    /** The attachment that holds it. */
    public static final String FILE = "qemu.json";
    /** The attachment that holds the device state. */
    public static final String STATE = "qemu.state";
    /** The most bytes such a file has. */
    public static final int LARGEST_BYTES = 4 << 20;

    private static final long FORMAT = 1;

    /** Copies the collections. */
    public QemuDescription {
        command = List.copyOf(command);
        disks = Map.copyOf(disks);
    }

    /** Returns the content of the file. */
    public String toJson() {
        Map<String, Object> document = new LinkedHashMap<>();
        document.put("format", FORMAT);
        document.put("version", version);
        document.put("machine", machine);
        document.put("ram_id", ramId);
        ramPath.ifPresent(path -> document.put("ram_path", path));
        document.put("ram_bytes", ramBytes);
        document.put("socket", socket);
        document.put("command", command);
        List<Object> listed = new ArrayList<>();
        disks.forEach((path, name) -> listed.add(Map.of("path", path, "file", name)));
        document.put("disks", listed);
        return Json.write(document, true) + "\n";
    }

    /** Reads what {@link #toJson} wrote. */
    public static QemuDescription parse(String name, byte[] bytes) throws SnapshotException {
        Json json = Json.parse(name, bytes);
        if (json.get("format").number() != FORMAT) {
            throw new SnapshotException(name + " has format " + json.get("format").number()
                    + ", which this version does not know; a newer one may");
        }
        List<String> command = new ArrayList<>();
        for (Json word : json.get("command").list()) {
            command.add(word.text());
        }
        Map<String, String> disks = new LinkedHashMap<>();
        for (Json disk : json.get("disks").list()) {
            disks.put(disk.get("path").text(), disk.get("file").text());
        }
        Optional<Json> ramPath = json.find("ram_path");
        return new QemuDescription(json.get("version").text(), json.get("machine").text(), json.get("ram_id").text(),
                ramPath.isEmpty() ? Optional.empty() : Optional.of(ramPath.get().text()),
                json.get("ram_bytes").number(), json.get("socket").text(), command, disks);
    }
}
