package io.microsnap.registry.internal.remote;

import io.microsnap.registry.internal.format.Blob;
import io.microsnap.store.internal.StoredManifest;
import java.util.Map;

/**
 * One snapshot in an artifact: the artifact's own, or a base that it requires.
 *
 * @param manifest its manifest
 * @param manifestBlob its manifest as a blob
 * @param frames its frame table
 * @param files its other files by their names, {@code memory.img} apart
 */
public record RemoteSnapshot(StoredManifest manifest, Blob manifestBlob, Blob frames, Map<String, Blob> files) {
    public RemoteSnapshot {
        files = Map.copyOf(files);
    }
}
