package io.microsnap.registry.internal.push;

import io.microsnap.core.SnapshotReference;
import io.microsnap.registry.internal.format.Digest;
import java.util.List;
import java.util.Optional;

/**
 * The result of a push.
 *
 * @param digest of the artifact
 * @param pushed the snapshots whose artifacts were made, bases first
 * @param donor the snapshot whose packs are used, in addition to its required bases
 * @param lengthBytes the size of the artifact in the registry, shared blobs included
 */
public record Pushed(Digest digest, List<SnapshotReference> pushed, Optional<SnapshotReference> donor,
        long lengthBytes) {
    public Pushed {
        pushed = List.copyOf(pushed);
    }
}
