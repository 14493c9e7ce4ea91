package io.microsnap.registry.internal.push;

import io.microsnap.core.DamagedException;
import io.microsnap.core.SnapshotException;
import io.microsnap.core.SnapshotId;
import io.microsnap.core.SnapshotReference;
import io.microsnap.dedup.Deduplicator;
import io.microsnap.dedup.Sibling;
import io.microsnap.dedup.SiblingPolicy;
import io.microsnap.registry.internal.client.BlobsUnknownException;
import io.microsnap.registry.internal.client.RegistryClient;
import io.microsnap.registry.internal.client.RegistryClient.ServedManifest;
import io.microsnap.registry.internal.format.Blob;
import io.microsnap.registry.internal.format.Digest;
import io.microsnap.registry.internal.remote.RemoteArtifact;
import io.microsnap.registry.internal.remote.RemoteTable;
import io.microsnap.registry.internal.work.Transfers;
import io.microsnap.store.internal.DirectoryStore;
import io.microsnap.store.internal.PageIndex;
import io.microsnap.store.internal.PageMap;
import io.microsnap.store.internal.SnapshotFile;
import io.microsnap.store.internal.StoredSnapshot;
import java.io.IOException;
import java.nio.file.NoSuchFileException;
import java.util.ArrayList;
import java.util.HashMap;
import java.util.LinkedHashSet;
import java.util.List;
import java.util.Map;
import java.util.Optional;
import java.util.Set;
import java.util.concurrent.atomic.AtomicBoolean;

/** One push: finds what the registry has, sends what it lacks, and makes it visible by its tags at the end. */
public final class PushSession {
    private static final System.Logger LOG = System.getLogger(PushSession.class.getName());
    private static final int ATTEMPTS = 3;

    private final DirectoryStore store;
    private final RegistryClient client;
    private final List<RegistryClient> others;
    private final PushSettings settings;
    private final Map<SnapshotReference, RemoteArtifact> found = new HashMap<>();

    /**
     * Makes a session. Sends nothing yet.
     *
     * @param others repositories of the same registry to take blobs from
     */
    public PushSession(DirectoryStore store, RegistryClient client, List<RegistryClient> others,
            PushSettings settings) {
        this.store = store;
        this.client = client;
        this.others = List.copyOf(others);
        this.settings = settings;
    }

    /** The snapshots to push, and the artifacts of the registry that they use. */
    private static final class Plan implements AutoCloseable {
        private final List<StoredSnapshot> toPush = new ArrayList<>();
        private final List<StoredSnapshot> toClose = new ArrayList<>();
        private Optional<RemoteArtifact> found = Optional.empty();

        @Override
        public void close() {
            toClose.forEach(StoredSnapshot::close);
        }
    }

    /**
     * Pushes a snapshot and what it requires.
     *
     * @param tag to set; empty for none
     * @param expected the digest that the artifact must have
     */
    public Pushed push(SnapshotId id, Optional<String> tag, Optional<Digest> expected) throws IOException {
        for (int attempt = 1;; attempt++) {
            try (StoredSnapshot held = store.hold(id); Plan plan = plan(held)) {
                return carryOut(plan, tag, expected);
            } catch (BlobsUnknownException collected) {
                // Blobs that existed at the look-up are gone: look again, and send them again.
                if (attempt == ATTEMPTS) {
                    throw collected;
                }
                LOG.log(System.Logger.Level.DEBUG, "pushing again", collected);
                found.clear();
            }
        }
    }

    private Pushed carryOut(Plan plan, Optional<String> tag, Optional<Digest> expected) throws IOException {
        long total = 0;
        for (StoredSnapshot held : plan.toPush) {
            total += held.manifest().files().stream().mapToLong(SnapshotFile::lengthBytes).sum();
        }
        PushProgress progress = new PushProgress(settings.progress(), total);
        Optional<RemoteArtifact> base = plan.found;
        Optional<SnapshotReference> usedDonor = Optional.empty();
        List<SnapshotReference> pushed = new ArrayList<>();
        for (StoredSnapshot held : plan.toPush) {
            boolean last = held == plan.toPush.getLast();
            boolean needsBase = held.manifest().requiredBase().isPresent();
            RemoteArtifact made;
            try (Donors donors = new Donors()) {
                Optional<Donor> donor = donors.of(held);
                usedDonor = donor.map(Donor::reference);
                made = new SnapshotUpload(client, otherNames(), settings, held, progress)
                        .run(needsBase ? base : Optional.empty(), donor);
            }
            if (last && expected.isPresent() && !expected.get().equals(made.digest())) {
                throw new DamagedException(held.reference() + " makes an artifact with digest " + made.digest()
                        + ", not the requested " + expected.get() + "; no tag was set");
            }
            byte[] json = made.artifact().toJson();
            client.putManifest(RemoteArtifact.tag(held.manifest().uuid()), json);
            if (last) {
                client.putManifest(tag.orElse(made.digest().toString()), json);
            }
            pushed.add(held.reference());
            base = Optional.of(made);
        }
        RemoteArtifact made = base.orElseThrow();
        return new Pushed(made.digest(), pushed, usedDonor, made.artifact().lengthBytes());
    }

    /** Returns the snapshot, and before it those of its bases that the registry lacks. */
    private Plan plan(StoredSnapshot held) throws IOException {
        Plan plan = new Plan();
        try {
            addRequired(plan, held);
            Optional<SnapshotReference> cloned = !held.manifest().isDiff()
                    ? held.manifest().base() : Optional.empty();
            if (cloned.isPresent() && find(cloned.get()).isEmpty()) {
                Optional<StoredSnapshot> local = holdExactly(cloned.get());
                if (local.isPresent()) {
                    plan.toClose.add(local.get());
                    Plan first = new Plan();
                    addRequired(first, local.get());
                    // Pushes only its own pages; older bases are not needed.
                    if (first.found.isEmpty()) {
                        plan.toPush.addAll(0, first.toPush);
                    }
                }
            }
            return plan;
        } catch (Throwable failure) {
            try (plan) {
                throw failure;
            }
        }
    }

    private void addRequired(Plan plan, StoredSnapshot held) throws IOException {
        plan.toPush.add(held);
        for (Optional<StoredSnapshot> base = held.base(); base.isPresent(); base = base.get().base()) {
            plan.found = find(base.get().reference());
            if (plan.found.isPresent()) {
                return;
            }
            plan.toPush.addFirst(base.get());
        }
    }

    private Optional<StoredSnapshot> holdExactly(SnapshotReference reference) throws IOException {
        StoredSnapshot held;
        try {
            held = store.hold(reference.id());
        } catch (NoSuchFileException gone) {
            return Optional.empty();
        }
        if (held.reference().equals(reference)) {
            return Optional.of(held);
        }
        held.close();
        return Optional.empty();
    }

    private List<String> otherNames() {
        return others.stream().map(RegistryClient::repository).toList();
    }

    /** Returns the artifact of a snapshot, if it and every blob it names is in this repository, or could be mounted. */
    private Optional<RemoteArtifact> find(SnapshotReference reference) throws IOException {
        Optional<RemoteArtifact> known = Optional.ofNullable(found.get(reference));
        if (known.isEmpty()) {
            known = search(reference);
            known.ifPresent(artifact -> found.put(reference, artifact));
        }
        return known;
    }

    private Optional<RemoteArtifact> search(SnapshotReference reference) throws IOException {
        Optional<RemoteArtifact> own = lookUp(client, reference);
        if (own.isPresent() && all(own.get(), client::hasBlob)) {
            return own;
        }
        for (RegistryClient other : others) {
            Optional<RemoteArtifact> theirs = lookUp(other, reference);
            if (theirs.isPresent() && all(theirs.get(), blob -> client.hasBlob(blob)
                    || client.mount(blob, other.repository()))) {
                Optional<ServedManifest> served = other.manifest(theirs.get().digest().toString());
                if (served.isPresent()) {
                    client.putManifest(RemoteArtifact.tag(reference.uuid()), served.get().bytes());
                    return theirs;
                }
            }
        }
        return Optional.empty();
    }

    private static Optional<RemoteArtifact> lookUp(RegistryClient client, SnapshotReference reference)
            throws IOException {
        try {
            return RemoteArtifact.find(client, RemoteArtifact.tag(reference.uuid()))
                    .filter(found -> found.snapshot().manifest().reference().equals(reference));
        } catch (DamagedException other) {
            LOG.log(System.Logger.Level.DEBUG, "what " + client + " has of " + reference + " is of no use", other);
            return Optional.empty();
        }
    }

    @FunctionalInterface
    private interface BlobTest {
        boolean holds(Blob blob) throws IOException;
    }

    private boolean all(RemoteArtifact artifact, BlobTest test) throws IOException {
        Set<Blob> blobs = new LinkedHashSet<>();
        blobs.add(artifact.artifact().config());
        blobs.addAll(artifact.artifact().layers());
        AtomicBoolean all = new AtomicBoolean(true);
        try (Transfers workers = new Transfers("look", settings.transfers(), 2 * settings.transfers(), () -> { })) {
            for (Blob blob : blobs) {
                workers.submit(() -> {
                    if (all.get() && !test.holds(blob)) {
                        all.set(false);
                    }
                });
            }
            workers.finish();
        }
        return all.get();
    }

    /** Finds the donor of one snapshot, and holds the files that its rule reads. */
    private final class Donors implements AutoCloseable {
        private final List<AutoCloseable> toClose = new ArrayList<>();

        Optional<Donor> of(StoredSnapshot held) throws IOException {
            Optional<Donor> base = base(held);
            return base.isPresent() ? base : sibling(held);
        }

        private Optional<Donor> base(StoredSnapshot held) throws IOException {
            Optional<SnapshotReference> reference = held.manifest().base();
            if (held.manifest().isDiff() || reference.isEmpty()) {
                return Optional.empty();
            }
            Optional<RemoteArtifact> artifact = find(reference.get()).filter(found ->
                    found.snapshot().manifest().layout().equals(held.layout()));
            if (artifact.isEmpty()) {
                return Optional.empty();
            }
            Optional<StoredSnapshot> local = holdExactly(reference.get());
            local.ifPresent(toClose::add);
            Optional<PageIndex> index = local.isPresent() ? Optional.of(local.get().pageIndex()) : Optional.empty();
            PageMap map = held.pageMap().orElseThrow();
            return Optional.of(donor(reference.get(), artifact.get(), new BaseRule(map, held.pageIndex(), index)));
        }

        private Optional<Donor> sibling(StoredSnapshot held) throws IOException {
            for (Sibling sibling : new Deduplicator(store).siblings(held.id(), SiblingPolicy.MOST_ALIKE)) {
                Optional<RemoteArtifact> artifact = find(sibling.reference());
                Optional<StoredSnapshot> local =
                        artifact.isEmpty() ? Optional.empty() : holdExactly(sibling.reference());
                if (local.isPresent()) {
                    toClose.add(local.get());
                    Optional<PageMap> own = !held.manifest().isDiff() ? Optional.empty()
                            : held.pageMap();
                    SiblingRule rule = new SiblingRule(held, local.get(), own);
                    toClose.add(rule);
                    return Optional.of(donor(sibling.reference(), artifact.get(), rule));
                }
            }
            return Optional.empty();
        }

        private Donor donor(SnapshotReference reference, RemoteArtifact artifact, Donor.Rule rule)
                throws IOException {
            Donor donor = new Donor(reference, RemoteTable.fetch(client, artifact.snapshot()), rule);
            toClose.add(donor);
            return donor;
        }

        @Override
        public void close() throws IOException {
            for (AutoCloseable each : toClose.reversed()) {
                try {
                    each.close();
                } catch (IOException | RuntimeException failure) {
                    throw failure;
                } catch (Exception impossible) {
                    throw new SnapshotException("cannot close " + each, impossible);
                }
            }
        }
    }
}
