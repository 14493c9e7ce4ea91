package io.microsnap.registry;

import io.microsnap.core.SnapshotReference;
import java.util.List;
import java.util.Optional;

/**
 * The result of a push.
 *
 * @param digest of the artifact
 * @param pushed the snapshots that got artifacts, bases first
 * @param donor the snapshot whose packs it uses in addition to those of its required bases
 * @param sentBytes how many bytes of blobs were sent
 * @param lengthBytes the size of the artifact's blobs in the registry, shared ones included
 */
public record PushResult(String digest, List<SnapshotReference> pushed, Optional<SnapshotReference> donor,
        long sentBytes, long lengthBytes) {
    public PushResult {
        pushed = List.copyOf(pushed);
    }
}
