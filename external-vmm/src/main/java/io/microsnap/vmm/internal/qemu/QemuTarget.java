package io.microsnap.vmm.internal.qemu;

import io.microsnap.vmm.internal.wire.QmpConnection;
import io.microsnap.vmm.internal.wire.QmpException;
import java.io.IOException;
import java.time.Duration;
import java.util.Map;

/**
 * Describes a QEMU that waits for a guest: the properties in which it must equal the one that was baked.
 *
 * @param machine its machine type, versioned
 * @param ramId its memory backend
 * @param ramBytes the backend's length
 */
record QemuTarget(String machine, String ramId, long ramBytes) {
    static QemuTarget of(QmpConnection qmp, Duration patience) throws IOException {
        String type = get(qmp, patience, "/machine", "type").replaceFirst("-machine$", "");
        String backend = get(qmp, patience, "/machine", "memory-backend");
        String id = backend.substring(backend.lastIndexOf('/') + 1);
        long sizeBytes = 0;
        if (!backend.isEmpty()) {
            try {
                sizeBytes = qmp.execute("qom-get", Map.of("path", backend, "property", "size"), patience).number();
            } catch (QmpException noSize) {
                sizeBytes = 0;
            }
        }
        return new QemuTarget(type, id, sizeBytes);
    }

    private static String get(QmpConnection qmp, Duration patience, String object, String property)
            throws IOException {
        return qmp.execute("qom-get", Map.of("path", object, "property", property), patience).text();
    }
}
