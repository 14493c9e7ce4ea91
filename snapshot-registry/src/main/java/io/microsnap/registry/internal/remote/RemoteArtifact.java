package io.microsnap.registry.internal.remote;

import io.microsnap.core.DamagedException;
import io.microsnap.core.SnapshotReference;
import io.microsnap.registry.internal.client.RegistryClient;
import io.microsnap.registry.internal.client.RegistryClient.ServedManifest;
import io.microsnap.registry.internal.format.Artifact;
import io.microsnap.registry.internal.format.Blob;
import io.microsnap.registry.internal.format.Digest;
import io.microsnap.registry.internal.format.MediaTypes;
import io.microsnap.registry.internal.format.Pack;
import io.microsnap.store.SnapshotStore;
import io.microsnap.store.internal.ChainTooLongException;
import io.microsnap.store.internal.Printable;
import io.microsnap.store.internal.SnapshotFile;
import io.microsnap.store.internal.SnapshotFiles;
import io.microsnap.store.internal.StoredManifest;
import java.io.IOException;
import java.util.ArrayList;
import java.util.HashMap;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import java.util.Optional;
import java.util.UUID;

/**
 * An artifact whose manifests were read and checked: it has the snapshot and the bases it requires, in one chain, each
 * with exactly the files that its manifest lists.
 *
 * @param artifact its blobs
 * @param digest names it
 * @param chain the snapshot, then its bases, nearest first
 * @param packs the packs by their digests
 */
public record RemoteArtifact(Artifact artifact, Digest digest, List<RemoteSnapshot> chain,
        Map<Digest, Blob> packs) {
    private static final String UUID_TAG = "uuid-";

    public RemoteArtifact {
        chain = List.copyOf(chain);
        packs = Map.copyOf(packs);
    }

    /** Returns the snapshot itself. */
    public RemoteSnapshot snapshot() {
        return chain.getFirst();
    }

    /** Returns the tag by which a later push finds a snapshot. */
    public static String tag(UUID uuid) {
        return UUID_TAG + uuid;
    }

    /** Returns whether a tag is one that pushes set for later pushes. */
    public static boolean isUuidTag(String tag) {
        return tag.startsWith(UUID_TAG);
    }

    /** Fetches an artifact and its manifests; empty if there is none. */
    public static Optional<RemoteArtifact> find(RegistryClient client, String tagOrDigest) throws IOException {
        Optional<ServedManifest> served = client.manifest(tagOrDigest);
        return served.isEmpty() ? Optional.empty()
                : Optional.of(read(client, client + " " + tagOrDigest, served.get()));
    }

    /**
     * Reads an artifact that was fetched.
     *
     * @param name names it in messages
     */
    public static RemoteArtifact read(RegistryClient client, String name, ServedManifest served) throws IOException {
        Artifact artifact = Artifact.parse(name, served.bytes());
        Map<UUID, Map<String, Blob>> files = new LinkedHashMap<>();
        Map<Digest, Blob> packs = new LinkedHashMap<>();
        for (Blob layer : artifact.layers()) {
            if (layer.owner().isEmpty()) {
                requirePack(name, layer);
                packs.put(layer.digest(), layer);
            } else {
                Blob.Owner owner = layer.owner().get();
                Blob before = files.computeIfAbsent(owner.snapshot(), uuid -> new HashMap<>())
                        .put(owner.file(), layer);
                if (before != null) {
                    throw new DamagedException(name + " lists " + Printable.of(owner.file()) + " of "
                            + owner.snapshot() + " twice");
                }
            }
        }
        List<RemoteSnapshot> chain = new ArrayList<>();
        Optional<Blob> next = Optional.of(artifact.config());
        Optional<SnapshotReference> expected = Optional.empty();
        while (next.isPresent()) {
            StoredManifest manifest = manifest(client, name, next.get());
            if (expected.isPresent() && !expected.get().equals(manifest.reference())) {
                throw new DamagedException(name + " has " + manifest.reference() + " as a base where "
                        + expected.get() + " is required");
            }
            Map<String, Blob> own = files.remove(manifest.uuid());
            if (own == null) {
                throw new DamagedException(name + ": the bases of its snapshot require each other in a circle, or have"
                        + " no files: " + manifest.reference());
            }
            if (chain.size() == SnapshotStore.LONGEST_CHAIN) {
                throw new ChainTooLongException(chain.getFirst().manifest().id());
            }
            chain.add(snapshot(name, manifest, next.get(), own));
            expected = manifest.requiredBase();
            next = expected.isEmpty() ? Optional.empty() : Optional.of(base(name, expected.get(), files));
        }
        if (!files.isEmpty()) {
            throw new DamagedException(name + " has files of snapshots that are not its bases: "
                    + files.keySet());
        }
        return new RemoteArtifact(artifact, served.digest(), chain, packs);
    }

    private static void requirePack(String name, Blob layer) throws DamagedException {
        if (!layer.mediaType().equals(MediaTypes.PACK) || layer.lengthBytes() <= 0
                || layer.lengthBytes() > Pack.LARGEST_BYTES) {
            throw new DamagedException(name + ": blob " + layer.digest() + " is no pack: type "
                    + Printable.of(layer.mediaType()) + ", " + layer.lengthBytes() + " bytes");
        }
    }

    private static StoredManifest manifest(RegistryClient client, String name, Blob blob) throws IOException {
        byte[] json = client.fetchSmall(blob, StoredManifest.LARGEST_BYTES);
        return StoredManifest.parse(name + ", snapshot.json " + blob.digest(), json);
    }

    private static Blob base(String name, SnapshotReference base, Map<UUID, Map<String, Blob>> files)
            throws DamagedException {
        Map<String, Blob> own = files.getOrDefault(base.uuid(), Map.of());
        Blob manifest = own.get(Blob.Owner.MANIFEST);
        if (manifest == null || !manifest.mediaType().equals(MediaTypes.SNAPSHOT)) {
            throw new DamagedException(name + " is incomplete: its snapshot needs the base " + base + ", which is"
                    + " missing or occurs twice");
        }
        return manifest;
    }

    private static RemoteSnapshot snapshot(String name, StoredManifest manifest, Blob manifestBlob,
            Map<String, Blob> files) throws DamagedException {
        Map<String, Blob> left = new HashMap<>(files);
        left.remove(Blob.Owner.MANIFEST, manifestBlob);
        Blob frames = left.remove(Blob.Owner.FRAMES);
        if (frames == null || !frames.mediaType().equals(MediaTypes.FRAMES)) {
            throw new DamagedException(name + " has no frame table of " + manifest.reference());
        }
        Map<String, Blob> own = new HashMap<>();
        for (SnapshotFile file : manifest.files()) {
            if (file.name().equals(SnapshotFiles.MEMORY)) {
                continue;
            }
            Blob blob = left.remove(file.name());
            boolean right = blob != null && blob.mediaType().equals(MediaTypes.FILE)
                    && blob.lengthBytes() == file.lengthBytes()
                    && (!file.hasSha256() || file.digest().equals(blob.digest().toString()));
            if (!right) {
                throw new DamagedException(name + ": " + file.name() + " of " + manifest.reference()
                        + " is missing, or not the one that its manifest lists");
            }
            own.put(file.name(), blob);
        }
        if (!left.isEmpty()) {
            throw new DamagedException(name + " has blobs that the manifest of " + manifest.reference()
                    + " does not list: " + Printable.of(String.join(", ", left.keySet())));
        }
        return new RemoteSnapshot(manifest, manifestBlob, frames, own);
    }
}
