package io.microsnap.store.internal;

import io.microsnap.core.IfExists;
import io.microsnap.core.SnapshotException;
import io.microsnap.core.internal.file.Durability;
import io.microsnap.core.internal.file.StagedFile;
import io.microsnap.core.internal.posix.Constants;
import io.microsnap.core.internal.posix.Descriptor;
import io.microsnap.core.internal.posix.Stat;
import io.microsnap.core.internal.work.Closing;
import io.microsnap.store.SnapshotFile;
import java.io.IOException;
import java.nio.file.NoSuchFileException;
import java.util.Optional;

/**
 * A file that is to take the place of one file of a published snapshot: a hint, or an image that is identical byte for
 * byte to the one there. It is written out of sight and takes its place in {@link #commit}; closed without that, it is
 * gone. A process that has the old file open keeps it.
 */
public final class StagedReplacement implements AutoCloseable {
    private static final System.Logger LOG = System.getLogger(DirectoryStore.class.getName());
    private final StoreDirectory store;
    private final StoredSnapshot held;
    private final String name;
    private final StagingDirectory directory;
    private final Descriptor file;
    private final Expected expected;
    private boolean committed;
    private boolean closed;

    /** Decides, under the store's lock, whether what has the name now may be replaced. */
    @FunctionalInterface
    interface Expected {
        /** A hint may come and go. */
        Expected ANYTHING = now -> true;

        boolean isMet(Optional<Stat> now);
    }

    private StagedReplacement(StoreDirectory store, StoredSnapshot held, String name, Expected expected,
            StagingDirectory directory, Descriptor file) {
        this.store = store;
        this.held = held;
        this.name = name;
        this.expected = expected;
        this.directory = directory;
        this.file = file;
    }

    /** Begins an empty file that is to be a hint. */
    static StagedReplacement ofHint(StoreDirectory store, StoredSnapshot held, String name, Expected expected)
            throws IOException {
        return begin(store, held, name, expected, Optional.empty());
    }

    /** Begins an image: a clone of the source if the filesystem can, and empty otherwise. */
    static StagedReplacement ofImage(StoreDirectory store, StoredSnapshot held, Descriptor source) throws IOException {
        // Nobody writes what is published; but what somebody wrote all the same is not this file's content.
        Optional<Stat> before = held.directory().statusAt(SnapshotFiles.MEMORY);
        Expected unchanged = now -> before.isEmpty() || now.filter(file -> file.isUnchangedSince(before.get()))
                .isPresent();
        return begin(store, held, SnapshotFiles.MEMORY, unchanged, Optional.of(source));
    }

    private static StagedReplacement begin(StoreDirectory store, StoredSnapshot held, String name, Expected expected,
            Optional<Descriptor> source) throws IOException {
        StagingDirectory directory = store.staging().create();
        try {
            Constants constants = directory.descriptor().posix().constants();
            if (source.isPresent()) {
                clone(store, source.get(), directory.descriptor(), name);
            }
            Descriptor file = directory.descriptor().openAt(name, constants.O_RDWR | constants.O_CREAT, 0600);
            return new StagedReplacement(store, held, name, expected, directory, file);
        } catch (Throwable failure) {
            try (directory) {
                throw failure;
            }
        }
    }

    private static void clone(StoreDirectory store, Descriptor source, Descriptor directory, String name)
            throws IOException {
        try (StagedFile clone = StagedFile.create(directory, name)) {
            if (store.reflink().cloneInto(source, clone).isCloned()) {
                clone.commit(Durability.NONE, IfExists.REFUSE);
            }
        }
    }

    /** The file being written: open for reading and writing. */
    public Descriptor descriptor() {
        if (closed) {
            throw new IllegalStateException(file + " is no longer staged");
        }
        return file;
    }

    /**
     * Makes the file durable and puts it in its place, at once. When this throws, the snapshot has the old one; or,
     * when its directory could not be synced, either.
     */
    public void commit() throws IOException {
        if (!commitIfExpected()) {
            throw new SnapshotException(held.directory() + "/" + name + " was written or replaced since the file that"
                    + " is to take its place was begun; it is left as it is");
        }
    }

    /** As {@link #commit}; returns false, and changes nothing, where another file has the place than was expected. */
    boolean commitIfExpected() throws IOException {
        Optional<SnapshotFile> listed = held.manifest().file(name);
        if (listed.isPresent() && descriptor().sizeBytes() != listed.get().lengthBytes()) {
            throw new SnapshotException(file + " has " + file.sizeBytes() + " bytes; " + name + " of " + held.id()
                    + " has " + listed.get().lengthBytes());
        }
        store.seal(descriptor());
        file.sync();
        try (StoreLock _ = store.lock()) {
            if (!StagingArea.isNamed(store.root(), held.id().key(), held.directory())) {
                throw new NoSuchFileException(held.directory() + "/" + name, null,
                        held.id() + " was deleted or replaced by force while it was in use");
            }
            if (!expected.isMet(held.directory().statusAt(name))) {
                return false;
            }
            directory.descriptor().renameAt(name, held.directory(), name, 0);
            held.directory().sync();
        }
        committed = true;
        return true;
    }

    /** Removes what was not committed. A second call does nothing. */
    @Override
    public void close() throws IOException {
        if (!closed) {
            closed = true;
            Closing closing = new Closing();
            closing.add(directory);
            closing.add(file);
            if (committed) {
                closing.closeQuietly(LOG);
            } else {
                closing.close();
            }
        }
    }
}
