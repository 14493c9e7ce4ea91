package io.microsnap.store;

/** One entry of a store's listing. */
public sealed interface SnapshotEntry {
    /** Returns its name: the id in its given letter case, or the directory's name. */
    String name();

    /** Its files exist with their lengths, and so do the bases it requires. The listing has not read their content. */
    record Whole(Manifest manifest) implements SnapshotEntry {
        @Override
        public String name() {
            return manifest.id().name();
        }
    }

    /**
     * It cannot be used, and that will not change: the files are not as they were published, or a base is gone.
     *
     * @param name the name it has in the store, fit to be shown
     * @param reason what is wrong with it
     */
    record Damaged(String name, String reason) implements SnapshotEntry {
    }

    /**
     * It could not be read this time: permissions or descriptors were missing, the storage failed, or a newer version
     * wrote it. The snapshot itself may be whole.
     *
     * @param name the name it has in the store, fit to be shown
     * @param reason what kept it from being read
     */
    record Unreadable(String name, String reason) implements SnapshotEntry {
    }
}
