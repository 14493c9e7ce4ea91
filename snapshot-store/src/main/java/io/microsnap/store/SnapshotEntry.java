package io.microsnap.store;

/** One entry of a store's listing. */
public sealed interface SnapshotEntry {
    /** Its name: the id as its maker spelled it, or what the directory is called. */
    String name();

    /** Its files are there with their lengths, and so are the bases it requires. Nobody has read their content. */
    record Whole(Manifest manifest) implements SnapshotEntry {
        @Override
        public String name() {
            return manifest.id().name();
        }
    }

    /**
     * It cannot be used, and that will not change: what is stored is not what was published, or a base is gone.
     *
     * @param name the name it has in the store, fit to be shown
     * @param reason what is wrong with it
     */
    record Damaged(String name, String reason) implements SnapshotEntry {
    }

    /**
     * It could not be read this time: for lack of permission or of descriptors, because the storage failed, or because
     * a newer version wrote it. That says nothing about the snapshot, which may be whole.
     *
     * @param name the name it has in the store, fit to be shown
     * @param reason what kept it from being read
     */
    record Unreadable(String name, String reason) implements SnapshotEntry {
    }
}
