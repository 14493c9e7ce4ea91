package io.microsnap.registry;

import io.microsnap.core.SnapshotReference;
import java.util.List;

/**
 * The result of a pull.
 *
 * @param digest of the artifact
 * @param published the snapshots that are new in the store, bases first
 * @param receivedBytes how many bytes of blobs were received
 * @param localBytes how many bytes of pages were in the store already
 */
public record PullResult(String digest, List<SnapshotReference> published, long receivedBytes, long localBytes) {
    public PullResult {
        published = List.copyOf(published);
    }
}
