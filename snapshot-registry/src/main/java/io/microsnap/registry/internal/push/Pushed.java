package io.microsnap.registry.internal.push;

import io.microsnap.core.SnapshotReference;
import io.microsnap.registry.internal.format.Digest;
import java.util.List;
import java.util.Optional;

/**
 * What a push did.
 *
 * @param digest of the artifact
 * @param pushed the snapshots whose artifacts were made, bases first
 * @param donor the snapshot whose packs are used, beside its required bases
 * @param lengthBytes what the artifact takes in the registry, shared blobs included
 */
public record Pushed(Digest digest, List<SnapshotReference> pushed, Optional<SnapshotReference> donor,
        long lengthBytes) {
    public Pushed {
        pushed = List.copyOf(pushed);
    }
}
