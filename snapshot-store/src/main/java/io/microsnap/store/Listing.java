package io.microsnap.store;

import io.microsnap.core.DamagedException;
import io.microsnap.core.SnapshotException;
import io.microsnap.core.SnapshotId;
import io.microsnap.core.SnapshotReference;
import io.microsnap.core.internal.posix.Descriptor;
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

/** What a store holds: read without a lock, so of a snapshot that comes or goes meanwhile either is right. */
final class Listing {
    private static final int ATTEMPTS = 10;

    private final StoreDirectory store;
    private final boolean filesToo;
    private final Map<String, Manifest> manifests = new TreeMap<>();
    private final Map<String, String> damages = new TreeMap<>();

    private Listing(StoreDirectory store, boolean filesToo) {
        this.store = store;
        this.filesToo = filesToo;
    }

    /**
     * Every snapshot, sorted by name without regard to case, and whether it is whole. A diff may go with its base
     * between the reading of the one and of the other: only what is damaged in the same way when looked at again is.
     */
    static List<SnapshotEntry> entries(StoreDirectory store) throws IOException {
        List<SnapshotEntry> entries = read(store, true).entries();
        for (int attempt = 0; attempt < ATTEMPTS && !damaged(entries).isEmpty(); attempt++) {
            List<SnapshotEntry> again = read(store, true).entries();
            if (damaged(again).equals(damaged(entries))) {
                return again;
            }
            entries = again;
        }
        return entries;
    }

    private static List<SnapshotEntry> damaged(List<SnapshotEntry> entries) {
        return entries.stream().filter(SnapshotEntry.Damaged.class::isInstance).toList();
    }

    /** Every snapshot whose manifest can be read. */
    static Collection<Manifest> manifests(StoreDirectory store) throws IOException {
        return read(store, false).manifests.values();
    }

    /** All that require a snapshot, directly or not, each before the one it requires itself. */
    static List<SnapshotId> dependents(StoreDirectory store, SnapshotId id) throws IOException {
        Collection<Manifest> all = manifests(store);
        List<String> found = new ArrayList<>(List.of(id.key()));
        List<SnapshotId> dependents = new ArrayList<>();
        for (int next = 0; next < found.size(); next++) {
            String base = found.get(next);
            for (Manifest manifest : all) {
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
        Map<String, Optional<String>> chains = new HashMap<>();
        manifests.forEach((key, manifest) -> entries.put(key, brokenChain(manifest, chains)
                .<SnapshotEntry>map(reason -> new SnapshotEntry.Damaged(manifest.id().name(), reason))
                .orElseGet(() -> new SnapshotEntry.Whole(manifest))));
        damages.forEach((name, reason) -> entries.put(name, new SnapshotEntry.Damaged(Printable.of(name), reason)));
        return List.copyOf(entries.values());
    }

    private void read(String name) {
        for (int attempt = 0; attempt < ATTEMPTS; attempt++) {
            try (Descriptor snapshot = StagingArea.openDirectory(store.root(), name)) {
                try {
                    requireName(name);
                    Manifest manifest = StoreDirectory.manifest(snapshot, name);
                    manifests.put(name, manifest);
                    if (filesToo) {
                        StoreDirectory.requireFiles(snapshot, manifest);
                    }
                    return;
                } catch (IOException e) {
                    // Deleted or replaced under our eyes, it is not damaged.
                    if (StagingArea.isNamed(store.root(), name, snapshot)) {
                        damages.put(name, reason(e));
                        return;
                    }
                    manifests.remove(name);
                }
            } catch (NoSuchFileException e) {
                return;
            } catch (IOException e) {
                damages.put(name, reason(e));
                return;
            }
        }
        damages.put(name, "it is replaced again and again");
    }

    private static void requireName(String name) throws SnapshotException {
        try {
            if (!new SnapshotId(name).key().equals(name)) {
                throw new DamagedException("its directory's name is not in lower case");
            }
        } catch (IllegalArgumentException e) {
            throw new DamagedException("its directory's name is no snapshot's: " + e.getMessage(), e);
        }
    }

    private Optional<String> brokenChain(Manifest manifest, Map<String, Optional<String>> known) {
        List<String> walked = new ArrayList<>();
        Set<String> seen = new HashSet<>();
        Optional<String> outcome = Optional.empty();
        Manifest at = manifest;
        while (true) {
            String key = at.id().key();
            if (known.containsKey(key)) {
                outcome = known.get(key);
                break;
            }
            if (!seen.add(key)) {
                outcome = Optional.of("its bases require each other in a circle: " + at.id());
                break;
            }
            walked.add(key);
            if (at.requiredBase().isEmpty()) {
                break;
            }
            SnapshotReference base = at.requiredBase().get();
            String baseKey = base.id().key();
            Manifest found = manifests.get(baseKey);
            if (found == null || damages.containsKey(baseKey)) {
                outcome = Optional.of(new MissingBaseException(at.id().name(), base,
                        damages.containsKey(baseKey) ? "which is damaged" : "which is not there").getMessage());
                break;
            }
            if (!found.reference().equals(base)) {
                outcome = Optional.of(new MissingBaseException(at.id().name(), base,
                        "but the store has " + found.reference()).getMessage());
                break;
            }
            at = found;
        }
        for (String key : walked) {
            known.put(key, outcome);
        }
        return outcome;
    }

    private static String reason(IOException failure) {
        String message = failure.getMessage();
        return message == null ? failure.getClass().getSimpleName() : Printable.whole(message);
    }
}
