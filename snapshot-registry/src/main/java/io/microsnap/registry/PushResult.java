package io.microsnap.registry;

import io.microsnap.core.SnapshotReference;
import java.util.List;
import java.util.Optional;

/**
 * What a push did.
 *
 * @param digest of the artifact
 * @param pushed the snapshots that got artifacts, bases first
 * @param donor the snapshot whose packs it uses beside those of its required bases
 * @param sentBytes how many bytes of blobs were sent
 * @param lengthBytes what the artifact's blobs take in the registry, those that it shares with others included
 */
public record PushResult(String digest, List<SnapshotReference> pushed, Optional<SnapshotReference> donor,
        long sentBytes, long lengthBytes) {
    public PushResult {
        pushed = List.copyOf(pushed);
    }
}
