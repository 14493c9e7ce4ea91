package io.microsnap.core;

import java.util.Objects;
import java.util.UUID;

/**
 * Names one publication of a snapshot and its bytes: a later snapshot under the same id is another one.
 *
 * @param id its name
 * @param uuid random, made for this publication
 * @param indexRoot the root of its page index
 */
public record SnapshotReference(SnapshotId id, UUID uuid, int indexRoot) {
    public SnapshotReference {
        Objects.requireNonNull(id);
        Objects.requireNonNull(uuid);
    }

    @Override
    public String toString() {
        return id + " (" + uuid + ", root " + String.format("%08x", indexRoot) + ")";
    }
}
