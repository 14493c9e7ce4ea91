package io.microsnap.memory;

import io.microsnap.core.Progress;
import io.microsnap.core.SnapshotId;
import io.microsnap.store.SnapshotStore;
import io.microsnap.store.internal.DirectoryStore;
import io.microsnap.store.internal.StoredSnapshot;
import java.io.IOException;

/** Makes a snapshot of a chain complete, so that the bases it needed may be deleted. */
public final class Compact {
    private static final System.Logger LOG = System.getLogger(Compact.class.getName());

    private Compact() {
    }

    /**
     * Makes a snapshot complete in place, durably and atomically: a process that dies leaves it as it was or complete.
     * It stays the same publication with the same bytes, which are checked meanwhile; snapshots that require it and
     * processes that use it are not affected. Returns whether there was anything to do: a snapshot that needs no base
     * is complete already.
     *
     * @throws java.nio.file.NoSuchFileException if there is none of that id, or it was deleted or replaced meanwhile
     * @throws io.microsnap.core.DamagedException if it or one of its bases is damaged; it stays as it is
     */
    public static boolean snapshot(SnapshotStore store, SnapshotId id, int threads, Progress progress)
            throws IOException {
        DirectoryStore directory = DirectoryStore.of(store);
        try (StoredSnapshot held = directory.hold(id)) {
            if (BaseChain.isComplete(held)) {
                return false;
            }
            Export.of(held).threads(threads).progress(progress).inPlace(directory);
        }
        removeFormer(directory);
        return true;
    }

    /** Removes the former image from the staging area. It is not an error if it cannot be removed yet. */
    private static void removeFormer(DirectoryStore store) {
        try {
            store.gc();
        } catch (IOException later) {
            LOG.log(System.Logger.Level.DEBUG, store + ": a former image takes space until the next recovery", later);
        }
    }
}
