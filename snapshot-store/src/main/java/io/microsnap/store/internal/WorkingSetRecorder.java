package io.microsnap.store.internal;

import io.microsnap.core.SnapshotException;
import io.microsnap.core.internal.posix.Stat;
import io.microsnap.store.WorkingSet;
import java.io.IOException;
import java.time.Instant;
import java.util.Optional;

/**
 * Adds recordings to a snapshot's working set. Concurrent recordings of several processes are combined: each process
 * merges with the present file, and starts again if another one was faster. It holds the lock only for the rename and
 * the directory's sync.
 */
public final class WorkingSetRecorder {
    private static final System.Logger LOG = System.getLogger(DirectoryStore.class.getName());
    /** A merge fails only when another one succeeds; more concurrent recordings than this do not happen. */
    private static final int MOST_MERGES = 1_000;

    private final StoreDirectory store;
    private final StoredSnapshot held;

    WorkingSetRecorder(StoreDirectory store, StoredSnapshot held) {
        this.store = store;
        this.held = held;
    }

    /** Names the pages that a guest touched. */
    @FunctionalInterface
    public interface Touched {
        void addTo(WorkingSetMap recording) throws IOException;
    }

    WorkingSet add(Touched touched) throws IOException {
        for (int attempt = 0; attempt < MOST_MERGES; attempt++) {
            Optional<WorkingSet> merged = merge(touched);
            if (merged.isPresent()) {
                return merged.get();
            }
        }
        throw new SnapshotException(held + ": other processes replaced its working set " + MOST_MERGES
                + " times while a recording was to be added; record again");
    }

    /** Merges and commits; empty if another process was faster. */
    private Optional<WorkingSet> merge(Touched touched) throws IOException {
        Optional<Stat> before = held.directory().statusAt(SnapshotFiles.WORKING_SET);
        StagedReplacement.Expected same = now -> now.isPresent() == before.isPresent()
                && now.stream().allMatch(file -> file.isUnchangedSince(before.get()));
        try (StagedReplacement staged =
                StagedReplacement.ofHint(store, held, SnapshotFiles.WORKING_SET, same);
                WorkingSetMap map =
                        WorkingSetMap.create(staged.descriptor(), held.layout(), held.manifest().uuid())) {
            continueAfterEarlier(map);
            touched.addTo(map);
            map.finish();
            return staged.commitIfExpected() ? Optional.of(new WorkingSet(
                    map.pages(), map.layout().pageBytes(), map.recordings(), Instant.now())) : Optional.empty();
        }
    }

    private void continueAfterEarlier(WorkingSetMap map) throws IOException {
        try (LatestWorkingSet earlier = LatestWorkingSet.of(held)) {
            if (earlier.map().isPresent()) {
                map.continueAfter(earlier.map().get());
            }
        } catch (IOException unusable) {
            LOG.log(System.Logger.Level.WARNING,
                    held + ": its unusable working set is replaced: " + unusable.getMessage());
        }
    }

    /** Removes the set; returns whether there was one. */
    boolean clear() throws IOException {
        try (StoreLock _ = store.lock()) {
            boolean removed = held.directory().removeAt(SnapshotFiles.WORKING_SET);
            held.directory().sync();
            return removed;
        }
    }
}
