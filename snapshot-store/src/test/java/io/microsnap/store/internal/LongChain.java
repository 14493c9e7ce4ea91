package io.microsnap.store.internal;

import io.microsnap.core.SnapshotId;
import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.UUID;

/** Makes long chains of diffs without publishing each of them. */
final class LongChain {
    private LongChain() {
    }

    /**
     * Puts copies of a diff upon it, each the base of the next, named after it and numbered.
     *
     * @param diff without attachments; it counts as the second
     * @param longest the number of the last one
     */
    static StoredManifest extend(Path store, StoredManifest diff, int longest) throws IOException {
        Path original = store.resolve(diff.id().key());
        StoredManifest last = diff;
        for (int number = 3; number <= longest; number++) {
            SnapshotId id = new SnapshotId(diff.id().name() + "-" + number);
            StoredManifest next = new StoredManifest(id, UUID.randomUUID(), diff.created(),
                    SnapshotDescription.diff(diff.layout(), last.reference()), diff.files());
            Path directory = Files.createDirectory(store.resolve(next.id().key()));
            for (var file : diff.files()) {
                Files.createLink(directory.resolve(file.name()), original.resolve(file.name()));
            }
            Files.write(directory.resolve("snapshot.json"), next.toJson());
            last = next;
        }
        return last;
    }
}
