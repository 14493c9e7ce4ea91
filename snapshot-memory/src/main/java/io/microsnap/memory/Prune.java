package io.microsnap.memory;

import io.microsnap.core.CancelledException;
import io.microsnap.core.Progress;
import io.microsnap.core.SnapshotId;
import io.microsnap.core.SnapshotReference;
import io.microsnap.store.Manifest;
import io.microsnap.store.SnapshotEntry;
import io.microsnap.store.SnapshotStore;
import io.microsnap.store.internal.DirectoryStore;
import java.io.IOException;
import java.nio.file.NoSuchFileException;
import java.util.ArrayList;
import java.util.Collections;
import java.util.Comparator;
import java.util.HashMap;
import java.util.HashSet;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import java.util.Objects;
import java.util.Set;

/**
 * Deletes all but the newest snapshots of a store. A kept snapshot that requires one to be deleted is made complete
 * first, so nothing is lost: if the process is killed at any moment, the store still has every kept snapshot whole.
 *
 * <p>If a snapshot cannot be deleted or made complete, it stays with the bases it needs, and the report names it; the
 * others are processed all the same. Damaged snapshots stay as they are.
 */
public final class Prune {
    private final DirectoryStore store;
    private final int keep;
    private final Map<String, String> labels = new LinkedHashMap<>();
    private int threads = 1;
    private Progress progress = Progress.NONE;

    private Prune(DirectoryStore store, int keep) {
        this.store = Objects.requireNonNull(store);
        this.keep = keep;
    }

    /** Begins a pruning that keeps this many of the newest snapshots; at least one. */
    public static Prune of(SnapshotStore store, int keep) {
        if (keep < 1) {
            throw new IllegalArgumentException("to keep " + keep + " snapshots: keep at least 1");
        }
        return new Prune(DirectoryStore.of(store), keep);
    }

    /** Counts and deletes only snapshots that have this label and all labels given before. The others stay. */
    public Prune labelled(String key, String value) {
        labels.put(key, value);
        return this;
    }

    /** Sets the most threads that may work; the default is one. */
    public Prune threads(int most) {
        if (most < 1) {
            throw new IllegalArgumentException(most + " threads");
        }
        threads = most;
        return this;
    }

    /**
     * Sets the listener for each snapshot's progress, which may stop the pruning; finished snapshots stay as they are.
     */
    public Prune progress(Progress listener) {
        progress = Objects.requireNonNull(listener);
        return this;
    }

    /**
     * The plan of what {@link #run} would do at this moment.
     *
     * @param keep the newest of the counted snapshots, newest first
     * @param compact the kept snapshots that require one to be deleted
     * @param delete the snapshots to delete, each before the base it requires
     */
    public record Plan(List<Manifest> keep, List<Manifest> compact, List<Manifest> delete) {
        public Plan {
            keep = List.copyOf(keep);
            compact = List.copyOf(compact);
            delete = List.copyOf(delete);
        }
    }

    /**
     * The report of what was done.
     *
     * @param kept the newest of the counted snapshots
     * @param compacted the snapshots that were made complete
     * @param deleted the snapshots that were deleted
     * @param left the snapshots that should have been made complete or deleted but were not, with the reason
     * @param cancelled whether progress stopped it before the end; run it again to continue
     */
    public record Report(List<SnapshotId> kept, List<SnapshotId> compacted, List<SnapshotId> deleted,
            Map<SnapshotId, IOException> left, boolean cancelled) {
        public Report {
            kept = List.copyOf(kept);
            compacted = List.copyOf(compacted);
            deleted = List.copyOf(deleted);
            left = Collections.unmodifiableMap(new LinkedHashMap<>(left));
        }
    }

    /** Plans without changing the store. */
    public Plan plan() throws IOException {
        Map<SnapshotReference, Manifest> all = new HashMap<>();
        for (SnapshotEntry entry : store.list()) {
            if (entry instanceof SnapshotEntry.Whole whole) {
                all.put(whole.manifest().reference(), whole.manifest());
            }
        }
        List<Manifest> counted = all.values().stream().filter(this::isCounted).sorted(newestFirst()).toList();
        List<Manifest> kept = counted.subList(0, Math.min(keep, counted.size()));
        List<Manifest> going = new ArrayList<>(counted.subList(kept.size(), counted.size()));
        going.sort(Comparator.comparingInt((Manifest manifest) -> depth(manifest, all)).reversed());
        Set<SnapshotReference> gone = new HashSet<>(going.stream().map(Manifest::reference).toList());
        List<Manifest> compact = all.values().stream().filter(manifest -> !gone.contains(manifest.reference()))
                .filter(manifest -> manifest.requiredBase().filter(gone::contains).isPresent())
                .sorted(newestFirst()).toList();
        return new Plan(kept, compact, going);
    }

    /** Makes kept snapshots complete, and deletes the others. */
    public Report run() throws IOException {
        Plan plan = plan();
        List<SnapshotId> compacted = new ArrayList<>();
        List<SnapshotId> deleted = new ArrayList<>();
        Map<SnapshotId, IOException> left = new LinkedHashMap<>();
        boolean cancelled = false;
        long totalBytes = bytes(plan.compact()) + plan.delete().size();
        long doneBytes = 0;
        try {
            for (Manifest manifest : plan.compact()) {
                long before = doneBytes;
                each(manifest.id(), compacted, left, () -> Export.compact(store, manifest.id(), threads,
                        (done, total) -> progress.advanced(before + done, totalBytes)));
                doneBytes += manifest.layout().lengthBytes();
            }
            for (Manifest manifest : plan.delete()) {
                progress.advanced(doneBytes, totalBytes);
                // The store refuses to delete a snapshot that is still needed.
                each(manifest.id(), deleted, left, () -> delete(manifest));
                doneBytes++;
            }
        } catch (CancelledException stopped) {
            cancelled = true;
        }
        return new Report(ids(plan.keep()), compacted, deleted, left, cancelled);
    }

    private interface Step {
        boolean run() throws IOException;
    }

    private static void each(SnapshotId id, List<SnapshotId> done, Map<SnapshotId, IOException> left, Step step)
            throws CancelledException {
        try {
            if (step.run()) {
                done.add(id);
            }
        } catch (CancelledException stopped) {
            throw stopped;
        } catch (NoSuchFileException gone) {
            // Another process has deleted or replaced it meanwhile: it is no longer part of the plan.
            return;
        } catch (IOException failure) {
            left.put(id, failure);
        }
    }

    private boolean delete(Manifest manifest) throws IOException {
        store.delete(manifest.reference());
        return true;
    }

    private static long bytes(List<Manifest> manifests) {
        return manifests.stream().mapToLong(manifest -> manifest.layout().lengthBytes()).sum();
    }

    private boolean isCounted(Manifest manifest) {
        return manifest.labels().entrySet().containsAll(labels.entrySet());
    }

    private static Comparator<Manifest> newestFirst() {
        return Comparator.comparing(Manifest::created).reversed()
                .thenComparing(manifest -> manifest.id().key(), Comparator.reverseOrder());
    }

    /** Returns how many bases it requires. Bases that require each other are listed as damaged, so this ends. */
    private static int depth(Manifest manifest, Map<SnapshotReference, Manifest> all) {
        int depth = 0;
        for (Manifest at = manifest; at.requiredBase().isPresent(); depth++) {
            at = all.get(at.requiredBase().get());
        }
        return depth;
    }

    private static List<SnapshotId> ids(List<Manifest> manifests) {
        return manifests.stream().map(Manifest::id).toList();
    }
}
