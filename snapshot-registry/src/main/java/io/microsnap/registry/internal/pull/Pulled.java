package io.microsnap.registry.internal.pull;

import io.microsnap.core.SnapshotReference;
import io.microsnap.registry.internal.format.Digest;
import java.util.List;

/**
 * The result of a pull.
 *
 * @param digest of the artifact
 * @param published the snapshots that are new in the store, bases first
 * @param localBytes the bytes of pages that were in the store already
 */
public record Pulled(Digest digest, List<SnapshotReference> published, long localBytes) {
    public Pulled {
        published = List.copyOf(published);
    }
}
