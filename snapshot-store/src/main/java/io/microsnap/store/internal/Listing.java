package io.microsnap.store.internal;

import io.microsnap.core.DamagedException;
import io.microsnap.core.SnapshotException;
import io.microsnap.core.SnapshotId;
import io.microsnap.core.SnapshotReference;
import io.microsnap.core.internal.posix.Descriptor;
import io.microsnap.core.internal.posix.Stat;
import io.microsnap.store.MissingBaseException;
import io.microsnap.store.SnapshotEntry;
import io.microsnap.store.SnapshotStore;
import java.io.IOException;
import java.nio.file.NoSuchFileException;
import java.util.ArrayList;
import java.util.Collection;
import java.util.HashMap;
import java.util.HashSet;
import java.util.List;
import java.util.Map;
import java.util.Optional;
import java.util.Set;
import java.util.TreeMap;

/** Lists a store. It takes no lock, so a snapshot that appears or goes meanwhile may be listed or not. */
final class Listing {
    private static final int ATTEMPTS = 10;

    private final StoreDirectory store;
    private final boolean filesToo;
    private final Map<String, StoredManifest> manifests = new TreeMap<>();
    private final Map<String, SnapshotEntry> faults = new TreeMap<>();

    private Listing(StoreDirectory store, boolean filesToo) {
        this.store = store;
        this.filesToo = filesToo;
    }

    /**
     * Returns every snapshot, sorted by name without regard to case, and whether it is whole. A diff and its base may
     * be deleted between reading the one and the other, so a fault counts only if a second look finds it again.
     */
    static List<SnapshotEntry> entries(StoreDirectory store) throws IOException {
        List<SnapshotEntry> entries = read(store, true).entries();
        for (int attempt = 0; attempt < ATTEMPTS && !faulty(entries).isEmpty(); attempt++) {
            List<SnapshotEntry> again = read(store, true).entries();
            if (faulty(again).equals(faulty(entries))) {
                return again;
            }
            entries = again;
        }
        return entries;
    }

    private static List<SnapshotEntry> faulty(List<SnapshotEntry> entries) {
        return entries.stream().filter(entry -> !(entry instanceof SnapshotEntry.Whole)).toList();
    }

    /** Returns a listing of every snapshot whose manifest can be read. */
    static Listing ofManifests(StoreDirectory store) throws IOException {
        return read(store, false);
    }

    Collection<StoredManifest> manifests() {
        return manifests.values();
    }

    /**
     * Returns the snapshots that may require an unknown base, by their directory's name, with the reason why it is
     * unknown. A snapshot without a page map requires no base.
     */
    Map<String, String> mayRequireABase() {
        Map<String, String> unknown = new TreeMap<>();
        for (Map.Entry<String, SnapshotEntry> fault : faults.entrySet()) {
            if (mayHavePageMap(fault.getKey())) {
                unknown.put(fault.getKey(), reason(fault.getValue()));
            }
        }
        return unknown;
    }

    private boolean mayHavePageMap(String name) {
        try {
            Optional<Stat> status = store.root().statusAt(name);
            if (status.isEmpty() || !status.get().isDirectory()) {
                return false;
            }
            try (Descriptor snapshot = StagingArea.openDirectory(store.root(), name)) {
                return snapshot.statusAt(SnapshotFiles.PAGE_MAP).isPresent();
            }
        } catch (NoSuchFileException gone) {
            return false;
        } catch (IOException unknown) {
            return true;
        }
    }

    /** Returns all snapshots that require this one, directly or indirectly, each before its own base. */
    static List<SnapshotId> dependents(StoreDirectory store, SnapshotId id) throws IOException {
        Collection<StoredManifest> all = ofManifests(store).manifests();
        List<String> found = new ArrayList<>(List.of(id.key()));
        List<SnapshotId> dependents = new ArrayList<>();
        for (int next = 0; next < found.size(); next++) {
            String base = found.get(next);
            for (StoredManifest manifest : all) {
                boolean requires = manifest.requiredBase().filter(at -> at.id().key().equals(base)).isPresent();
                if (requires && !found.contains(manifest.id().key())) {
                    found.add(manifest.id().key());
                    dependents.addFirst(manifest.id());
                }
            }
        }
        return dependents;
    }

    private static Listing read(StoreDirectory store, boolean filesToo) throws IOException {
        Listing listing = new Listing(store, filesToo);
        for (String name : store.root().names()) {
            if (StoreDirectory.isEntry(name)) {
                listing.read(name);
            }
        }
        return listing;
    }

    private List<SnapshotEntry> entries() {
        Map<String, SnapshotEntry> entries = new TreeMap<>();
        Map<String, Optional<SnapshotEntry>> chains = new HashMap<>();
        manifests.forEach((key, manifest) -> entries.put(key, brokenChain(manifest, chains)
                .map(fault -> renamed(fault, manifest.id().name()))
                .orElseGet(() -> new SnapshotEntry.Whole(manifest))));
        entries.putAll(faults);
        return List.copyOf(entries.values());
    }

    private void read(String name) {
        for (int attempt = 0; attempt < ATTEMPTS; attempt++) {
            try (Descriptor snapshot = StoreDirectory.openEntry(store.root(), name)) {
                try {
                    requireName(name);
                    StoredManifest manifest = StoreDirectory.manifest(snapshot, name);
                    manifests.put(name, manifest);
                    if (filesToo) {
                        StoreDirectory.requireFiles(snapshot, manifest);
                    }
                    return;
                } catch (IOException e) {
                    // A snapshot that was deleted or replaced meanwhile is not damaged.
                    if (StagingArea.isNamed(store.root(), name, snapshot)) {
                        faults.put(name, fault(name, e));
                        return;
                    }
                    manifests.remove(name);
                }
            } catch (NoSuchFileException e) {
                return;
            } catch (IOException e) {
                faults.put(name, fault(name, e));
                return;
            }
        }
        faults.put(name, new SnapshotEntry.Unreadable(Printable.of(name), "another process keeps replacing it"));
    }

    private static void requireName(String name) throws SnapshotException {
        try {
            if (!new SnapshotId(name).key().equals(name)) {
                throw new DamagedException("its directory's name is not in lower case");
            }
        } catch (IllegalArgumentException e) {
            throw new DamagedException("its directory's name is not a snapshot's: " + e.getMessage(), e);
        }
    }

    private Optional<SnapshotEntry> brokenChain(StoredManifest manifest, Map<String, Optional<SnapshotEntry>> known) {
        List<String> walked = new ArrayList<>();
        Set<String> seen = new HashSet<>();
        Optional<SnapshotEntry> outcome = Optional.empty();
        StoredManifest at = manifest;
        while (true) {
            String key = at.id().key();
            if (known.containsKey(key)) {
                outcome = known.get(key);
                break;
            }
            if (!seen.add(key)) {
                outcome = Optional.of(damaged("its bases require each other in a circle: " + at.id()));
                break;
            }
            walked.add(key);
            if (at.requiredBase().isEmpty()) {
                break;
            }
            SnapshotReference base = at.requiredBase().get();
            Optional<SnapshotEntry> fault = faultOf(base, at);
            if (fault.isPresent()) {
                outcome = fault;
                break;
            }
            at = manifests.get(base.id().key());
        }
        for (String key : walked) {
            known.put(key, outcome);
        }
        return outcome.isPresent() ? outcome : tooLong(manifest);
    }

    private Optional<SnapshotEntry> faultOf(SnapshotReference base, StoredManifest of) {
        String key = base.id().key();
        SnapshotEntry fault = faults.get(key);
        StoredManifest found = manifests.get(key);
        if (fault instanceof SnapshotEntry.Unreadable unreadable) {
            return Optional.of(new SnapshotEntry.Unreadable("", of.id() + " requires the base " + base
                    + ", which could not be read: " + unreadable.reason()));
        }
        if (found == null || fault != null) {
            return Optional.of(damaged(new MissingBaseException(of.id().name(), base,
                    fault == null ? "which is not there" : "which is damaged").getMessage()));
        }
        if (!found.reference().equals(base)) {
            return Optional.of(damaged(new MissingBaseException(
                    of.id().name(), base, "but the store has " + found.reference()).getMessage()));
        }
        return Optional.empty();
    }

    /** Call this only for a chain that is known to end. */
    private Optional<SnapshotEntry> tooLong(StoredManifest manifest) {
        int length = 1;
        for (StoredManifest at = manifest; length <= SnapshotStore.LONGEST_CHAIN && at.requiredBase().isPresent();
                length++) {
            at = manifests.get(at.requiredBase().get().id().key());
        }
        return length <= SnapshotStore.LONGEST_CHAIN ? Optional.empty()
                : Optional.of(new SnapshotEntry.Unreadable("", ChainTooLongException.message(manifest.id())));
    }

    private static SnapshotEntry damaged(String reason) {
        return new SnapshotEntry.Damaged("", reason);
    }

    private static SnapshotEntry renamed(SnapshotEntry fault, String name) {
        return fault instanceof SnapshotEntry.Damaged damaged ? new SnapshotEntry.Damaged(name, damaged.reason())
                : new SnapshotEntry.Unreadable(name, reason(fault));
    }

    private static String reason(SnapshotEntry fault) {
        return switch (fault) {
            case SnapshotEntry.Damaged damaged -> damaged.reason();
            case SnapshotEntry.Unreadable unreadable -> unreadable.reason();
            case SnapshotEntry.Whole whole -> throw new IllegalArgumentException(whole.name() + " is whole");
        };
    }

    /** Classifies a failure: only a {@code DamagedException} means damage; any other failure concerns the reading. */
    private static SnapshotEntry fault(String name, IOException failure) {
        String message = failure.getMessage();
        String reason = message == null ? failure.getClass().getSimpleName() : Printable.whole(message);
        return failure instanceof DamagedException ? new SnapshotEntry.Damaged(Printable.of(name), reason)
                : new SnapshotEntry.Unreadable(Printable.of(name), reason);
    }
}
