package io.microsnap.registry.internal.push;

import io.microsnap.core.SnapshotException;
import io.microsnap.core.internal.posix.Descriptor;
import io.microsnap.core.internal.posix.Posix;
import io.microsnap.core.internal.work.Closing;
import io.microsnap.core.internal.work.Workers;
import io.microsnap.registry.internal.client.Body;
import io.microsnap.registry.internal.client.RegistryClient;
import io.microsnap.registry.internal.format.Artifact;
import io.microsnap.registry.internal.format.Blob;
import io.microsnap.registry.internal.format.Digest;
import io.microsnap.registry.internal.format.Frame;
import io.microsnap.registry.internal.format.FrameTable;
import io.microsnap.registry.internal.format.FrameTableWriter;
import io.microsnap.registry.internal.format.MediaTypes;
import io.microsnap.registry.internal.format.Pack;
import io.microsnap.registry.internal.format.PageSet;
import io.microsnap.registry.internal.remote.RemoteArtifact;
import io.microsnap.registry.internal.remote.RemoteSnapshot;
import io.microsnap.store.internal.PageMap;
import io.microsnap.store.internal.SnapshotFile;
import io.microsnap.store.internal.SnapshotFiles;
import io.microsnap.store.internal.StoredManifest;
import io.microsnap.store.internal.StoredSnapshot;
import java.io.IOException;
import java.lang.foreign.Arena;
import java.util.ArrayDeque;
import java.util.ArrayList;
import java.util.HashMap;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import java.util.Optional;
import java.util.SortedMap;
import java.util.TreeMap;

/** Brings the blobs of one snapshot into the registry, and makes the artifact that names them. */
final class SnapshotUpload {
    private static final int JOBS_FOR_EACH_THREAD = 4;

    private final RegistryClient client;
    private final List<String> otherRepositories;
    private final PushSettings settings;
    private final StoredSnapshot held;
    private final StoredManifest manifest;
    private final Optional<PageMap> own;
    private final PushProgress progress;

    SnapshotUpload(RegistryClient client, List<String> otherRepositories, PushSettings settings, StoredSnapshot held,
            PushProgress progress) throws IOException {
        this.client = client;
        this.otherRepositories = otherRepositories;
        this.settings = settings;
        this.held = held;
        this.progress = progress;
        manifest = held.manifest();
        own = !manifest.isDiff() ? Optional.empty() : held.pageMap();
    }

    /**
     * Sends what the registry lacks.
     *
     * @param base the artifact of the base that the snapshot requires
     * @param donor whose packs to use
     */
    RemoteArtifact run(Optional<RemoteArtifact> base, Optional<Donor> donor) throws IOException {
        byte[] json = manifest.toJson();
        Blob config = Blob.of(MediaTypes.SNAPSHOT, Digest.of(json), json.length);
        client.upload(config, Body.of(json), otherRepositories);
        Map<String, Blob> files = new LinkedHashMap<>();
        for (SnapshotFile file : manifest.files()) {
            if (!file.name().equals(SnapshotFiles.MEMORY)) {
                files.put(file.name(), uploadFile(file));
            }
        }
        List<Pack> packs = new ArrayList<>();
        Blob frames = uploadPages(donor, packs);
        RemoteSnapshot snapshot = new RemoteSnapshot(manifest, config, frames, files);
        return artifact(snapshot, packs, base);
    }

    private Blob uploadFile(SnapshotFile file) throws IOException {
        Descriptor open = held.open(file.name());
        Digest digest = file.hasSha256() ? Digest.parse(file.digest()) : FileBodies.digest(open, file.lengthBytes());
        Blob blob = Blob.ofFile(MediaTypes.FILE, digest, file.lengthBytes(),
                new Blob.Owner(manifest.uuid(), file.name()));
        client.upload(blob, FileBodies.of(open, file.lengthBytes()), otherRepositories);
        progress.finished(file.lengthBytes());
        return blob;
    }

    private Blob uploadPages(Optional<Donor> donor, List<Pack> packs) throws IOException {
        try (FrameTableWriter table = new FrameTableWriter();
                PageSet given = PageSet.of(Posix.host(), manifest.layout().pageCount())) {
            if (donor.isPresent()) {
                takeFrom(donor.get(), table, given, packs);
            }
            packs.addAll(uploadOwn(table, given, packs.size()));
            Blob blob = table.finish(manifest, packs);
            client.upload(blob, new Body(blob.lengthBytes(), table::stream), otherRepositories);
            return blob;
        }
    }

    /** Adds the donor's frames that have pages of this image, and their packs, to the table. */
    private void takeFrom(Donor donor, FrameTableWriter table, PageSet given, List<Pack> packs) throws IOException {
        FrameTable theirs = donor.table().table();
        Map<Integer, Integer> numbers = new HashMap<>();
        theirs.frames(frame -> {
            long shared = donor.rule().shared(frame);
            if (shared == 0) {
                return;
            }
            int number = numbers.computeIfAbsent(frame.pack(), pack -> {
                packs.add(theirs.packs().get(pack));
                return packs.size() - 1;
            });
            Frame ours = frame.with(number, shared);
            table.add(ours);
            ours.<IOException>eachUsedRun((firstPage, inFrame, count) -> {
                for (int at = 0; at < count; at++) {
                    given.add(firstPage + at);
                }
            });
            progress.check();
        });
    }

    private List<Pack> uploadOwn(FrameTableWriter table, PageSet given, int firstPack) throws IOException {
        try (Arena arena = Arena.ofShared(); Closing jobs = new Closing();
                Workers threads = Workers.started("compress", settings.threads());
                PackUploads uploads = new PackUploads(client, otherRepositories, firstPack,
                        manifest.layout().lengthBytes(), settings.transfers(), progress::check)) {
            ArrayDeque<FrameJob> free = new ArrayDeque<>();
            for (int job = 0; job < settings.threads() * JOBS_FOR_EACH_THREAD; job++) {
                free.add(jobs.add(new FrameJob(arena, manifest.layout().pageBytes(), settings.level())));
            }
            ArrayDeque<FrameJob> running = new ArrayDeque<>();
            new OwnPages(held, own, given).each((page, memory, offset, lengthBytes) -> {
                FrameJob job = free.peek();
                job.add(page, memory, offset, lengthBytes);
                if (job.isFull()) {
                    free.remove();
                    job.start(threads);
                    running.add(job);
                    if (free.isEmpty()) {
                        free.add(store(running.remove(), uploads, table));
                    }
                }
            });
            if (!free.isEmpty() && !free.peek().isEmpty()) {
                FrameJob last = free.remove();
                last.start(threads);
                running.add(last);
            }
            while (!running.isEmpty()) {
                store(running.remove(), uploads, table);
            }
            List<Pack> packs = uploads.finish();
            progress.finished(manifest.layout().lengthBytes());
            return packs;
        }
    }

    private FrameJob store(FrameJob job, PackUploads uploads, FrameTableWriter table) throws IOException {
        job.await();
        table.add(uploads.add(job));
        progress.reached(job.imageEnd());
        job.clear();
        return job;
    }

    private RemoteArtifact artifact(RemoteSnapshot snapshot, List<Pack> packs, Optional<RemoteArtifact> base)
            throws SnapshotException {
        List<Blob> layers = new ArrayList<>();
        Map<Digest, Blob> allPacks = new LinkedHashMap<>();
        layers.add(snapshot.frames());
        manifest.files().stream().map(SnapshotFile::name).filter(snapshot.files()::containsKey)
                .forEach(name -> layers.add(snapshot.files().get(name)));
        List<RemoteSnapshot> chain = new ArrayList<>(List.of(snapshot));
        packs.forEach(pack -> allPacks.put(pack.digest(), pack.blob()));
        if (base.isPresent()) {
            RemoteSnapshot nearest = base.get().snapshot();
            Blob baseManifest = Blob.ofFile(MediaTypes.SNAPSHOT, nearest.manifestBlob().digest(),
                    nearest.manifestBlob().lengthBytes(),
                    new Blob.Owner(nearest.manifest().uuid(), Blob.Owner.MANIFEST));
            layers.add(baseManifest);
            chain.add(new RemoteSnapshot(nearest.manifest(), baseManifest, nearest.frames(), nearest.files()));
            chain.addAll(base.get().chain().subList(1, base.get().chain().size()));
            for (Blob layer : base.get().artifact().layers()) {
                if (layer.owner().isPresent()) {
                    layers.add(layer);
                } else {
                    allPacks.putIfAbsent(layer.digest(), layer);
                }
            }
        }
        layers.addAll(allPacks.values());
        if (layers.size() + 1 > Artifact.MOST_BLOBS) {
            throw new SnapshotException("the artifact of " + held.reference() + " would have " + (layers.size() + 1)
                    + " blobs with its bases; " + Artifact.MOST_BLOBS + " are allowed: push a full snapshot instead");
        }
        SortedMap<String, String> annotations = new TreeMap<>();
        annotations.put("io.microsnap.id", manifest.id().name());
        annotations.put("io.microsnap.uuid", manifest.uuid().toString());
        annotations.put("org.opencontainers.image.created", manifest.created().toString());
        Artifact artifact = new Artifact(snapshot.manifestBlob(), layers, annotations);
        return new RemoteArtifact(artifact, Digest.of(artifact.toJson()), chain, allPacks);
    }
}
