package io.microsnap.registry.internal.pull;

import io.microsnap.core.SnapshotException;
import io.microsnap.core.SnapshotId;
import io.microsnap.core.SnapshotReference;
import io.microsnap.registry.internal.client.RegistryClient;
import io.microsnap.registry.internal.remote.RemoteArtifact;
import io.microsnap.registry.internal.remote.RemoteSnapshot;
import io.microsnap.store.internal.DirectoryStore;
import io.microsnap.store.internal.SnapshotFile;
import io.microsnap.store.internal.StoredManifest;
import io.microsnap.store.internal.StoredSnapshot;
import java.io.IOException;
import java.nio.file.FileAlreadyExistsException;
import java.nio.file.NoSuchFileException;
import java.util.ArrayList;
import java.util.List;
import java.util.Optional;

/** One pull: bases first, each published once it is whole. */
public final class PullSession {
    private final DirectoryStore store;
    private final RegistryClient client;
    private final PullSettings settings;

    /** Makes a session. Fetches nothing yet. */
    public PullSession(DirectoryStore store, RegistryClient client, PullSettings settings) {
        this.store = store;
        this.client = client;
        this.settings = settings;
    }

    /**
     * Pulls a snapshot and what it requires.
     *
     * @param id the snapshot's name in this store; its bases keep theirs
     * @param tagOrDigest which artifact
     * @throws FileAlreadyExistsException if the store has another snapshot under one of the ids
     */
    public Pulled pull(SnapshotId id, String tagOrDigest) throws IOException {
        RemoteArtifact artifact = RemoteArtifact.find(client, tagOrDigest).orElseThrow(() -> new NoSuchFileException(
                client + " " + tagOrDigest, null, "the registry has no such tag or manifest; 'remote list' shows the"
                        + " tags"));
        List<RemoteSnapshot> missing = new ArrayList<>();
        List<StoredManifest> names = new ArrayList<>();
        List<StoredSnapshot> here = new ArrayList<>();
        try {
            for (RemoteSnapshot snapshot : artifact.chain()) {
                StoredManifest manifest = missing.isEmpty() ? snapshot.manifest().withId(id) : snapshot.manifest();
                requireFeatures(manifest);
                if (!missing.isEmpty() && manifest.id().equals(id)) {
                    throw new FileAlreadyExistsException(store + "/" + id.key(), null, "the snapshot's base has the"
                            + " name " + id + "; pull it under another --id");
                }
                Optional<StoredSnapshot> held = hold(manifest.reference());
                if (held.isPresent()) {
                    // Held until the snapshots that need it are published.
                    here.add(held.get());
                    break;
                }
                missing.addFirst(snapshot);
                names.addFirst(manifest);
            }
            return fetch(artifact, missing, names);
        } finally {
            here.forEach(StoredSnapshot::close);
        }
    }

    private Pulled fetch(RemoteArtifact artifact, List<RemoteSnapshot> missing, List<StoredManifest> names)
            throws IOException {
        long total = 0;
        for (RemoteSnapshot snapshot : missing) {
            total += snapshot.manifest().files().stream().mapToLong(SnapshotFile::lengthBytes).sum();
        }
        PullProgress progress = new PullProgress(settings.progress(), total);
        List<SnapshotReference> published = new ArrayList<>();
        long localBytes = 0;
        long doneBytes = 0;
        for (int next = 0; next < missing.size(); next++) {
            RemoteSnapshot snapshot = missing.get(next);
            // Counts zeros and the base's pages as done, too.
            doneBytes += snapshot.manifest().files().stream().mapToLong(SnapshotFile::lengthBytes).sum();
            localBytes += new SnapshotDownload(store, client, settings, snapshot, progress)
                    .run(names.get(next), doneBytes);
            published.add(names.get(next).reference());
        }
        return new Pulled(artifact.digest(), published, localBytes);
    }

    private static void requireFeatures(StoredManifest manifest) throws SnapshotException {
        if (!manifest.unknownFeatures().isEmpty()) {
            throw new SnapshotException(manifest.id() + " requires " + String.join(", ", manifest.unknownFeatures())
                    + ", which this version does not have; a newer version may pull it");
        }
    }

    private Optional<StoredSnapshot> hold(SnapshotReference reference) throws IOException {
        StoredSnapshot held;
        try {
            held = store.hold(reference.id());
        } catch (NoSuchFileException missing) {
            return Optional.empty();
        }
        if (held.reference().equals(reference)) {
            return Optional.of(held);
        }
        SnapshotReference other = held.reference();
        held.close();
        throw new FileAlreadyExistsException(store + "/" + reference.id().key(), null, "it is " + other + ", and the"
                + " snapshot to pull is " + reference + "; delete it, or pull under another --id");
    }
}
