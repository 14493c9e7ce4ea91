package io.microsnap.vmm.internal.qemu;

import io.microsnap.core.GuestLayout;
import io.microsnap.core.SnapshotException;
import io.microsnap.vmm.internal.wire.Json;
import io.microsnap.vmm.internal.wire.QmpConnection;
import io.microsnap.vmm.internal.wire.QmpException;
import java.io.IOException;
import java.time.Duration;
import java.util.Map;
import java.util.Optional;

/**
 * A QEMU guest's RAM, as QEMU describes it: one backend, shared.
 *
 * @param machine the machine type, versioned
 * @param id the backend's id
 * @param path its file; empty for a memfd
 * @param sizeBytes its length
 * @param lowLimit the most of it below 4 GiB; negative if the machine has no such limit
 */
public record QemuRam(String machine, String id, Optional<String> path, long sizeBytes, long lowLimit) {
    /** Tells the user how to start a QEMU whose RAM is a shared file. */
    public static final String REMEDY = "start QEMU with -object memory-backend-file,id=ram,size=SIZE,mem-path=FILE,"
            + "share=on -machine TYPE,memory-backend=ram";

    private static final String OBJECTS = "/objects/";
    private static final String MACHINE_SUFFIX = "-machine";
    private static final long NO_LIMIT = -1;

    /** Queries QEMU. Throws, with the remedy, if the guest's RAM is private or in several pieces. */
    public static QemuRam of(QmpConnection qmp, Duration patience) throws IOException {
        String type = get(qmp, patience, "/machine", "type").text();
        String machine = type.endsWith(MACHINE_SUFFIX)
                ? type.substring(0, type.length() - MACHINE_SUFFIX.length()) : type;
        if (!qmp.execute("query-memory-devices", Map.of(), patience).list().isEmpty()) {
            throw new SnapshotException("the guest has memory devices (DIMMs, NVDIMMs, virtio-mem), and only RAM of one"
                    + " backend can be baked; start it with all of its RAM in -m");
        }
        String backend = get(qmp, patience, "/machine", "memory-backend").text();
        if (!backend.startsWith(OBJECTS)) {
            throw new SnapshotException("the guest's RAM is not one named backend (it is private to QEMU, or NUMA nodes"
                    + " have one each); " + REMEDY);
        }
        String id = backend.substring(OBJECTS.length());
        long sizeBytes = get(qmp, patience, backend, "size").number();
        if (!get(qmp, patience, backend, "share").truth()) {
            throw new SnapshotException("the RAM '" + id + "' is private to QEMU (share=off), so its file lacks the"
                    + " guest's writes; " + REMEDY);
        }
        Optional<String> path = find(qmp, patience, backend, "mem-path").map(QemuRam::textOrEmpty)
                .filter(text -> !text.isEmpty());
        Optional<Json> limit = find(qmp, patience, "/machine", "max-ram-below-4g");
        Optional<Json> offset = find(qmp, patience, backend, "offset");
        if (offset.isPresent() && offset.get().number() != 0) {
            throw new SnapshotException("the RAM '" + id + "' starts at offset " + offset.get().number()
                    + " of its file, and only files that begin with RAM can be baked; leave out offset=");
        }
        return new QemuRam(machine, id, path, sizeBytes, limit.isPresent() ? limit.get().number() : NO_LIMIT);
    }

    /** Returns its layout in the guest. */
    public GuestLayout layout(int pageBytes) throws SnapshotException {
        return QemuLayout.of(machine, sizeBytes, lowLimit, pageBytes);
    }

    private static String textOrEmpty(Json json) {
        try {
            return json.text();
        } catch (SnapshotException notText) {
            return "";
        }
    }

    private static Json get(QmpConnection qmp, Duration patience, String object, String property) throws IOException {
        return qmp.execute("qom-get", Map.of("path", object, "property", property), patience);
    }

    private static Optional<Json> find(QmpConnection qmp, Duration patience, String object, String property)
            throws IOException {
        try {
            return Optional.of(get(qmp, patience, object, property));
        } catch (QmpException noSuchProperty) {
            return Optional.empty();
        }
    }
}
