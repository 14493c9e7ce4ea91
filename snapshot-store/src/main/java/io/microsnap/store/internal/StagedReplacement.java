package io.microsnap.store.internal;

import io.microsnap.core.IfExists;
import io.microsnap.core.SnapshotException;
import io.microsnap.core.internal.file.Durability;
import io.microsnap.core.internal.file.StagedFile;
import io.microsnap.core.internal.posix.Constants;
import io.microsnap.core.internal.posix.Descriptor;
import io.microsnap.core.internal.posix.Stat;
import io.microsnap.core.internal.work.Closing;
import java.io.IOException;
import java.nio.file.NoSuchFileException;
import java.util.Optional;

/**
 * A file that will replace one file of a published snapshot: a hint, or an image that is byte for byte identical to the
 * present one. It is written invisibly and takes its place in {@link #commit}. Closing it without a commit removes it.
 * A process that has the old file open keeps that file.
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

    /** Decides, under the store's lock, whether the file that now has the name may be replaced. */
    @FunctionalInterface
    interface Expected {
        /** Accepts any file: a hint may appear and disappear. */
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

    /** Begins a hint as an empty file. */
    static StagedReplacement ofHint(StoreDirectory store, StoredSnapshot held, String name, Expected expected)
            throws IOException {
        return begin(store, held, name, expected, Optional.empty());
    }

    /** Begins an image: a clone of the source if the filesystem can, and empty otherwise. */
    static StagedReplacement ofImage(StoreDirectory store, StoredSnapshot held, Descriptor source) throws IOException {
        // Published files are never written. If another program wrote this one all the same, it must not be replaced.
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

    /** Returns the file being written: open for reading and writing. */
    public Descriptor descriptor() {
        if (closed) {
            throw new IllegalStateException(file + " is no longer staged");
        }
        return file;
    }

    /**
     * Makes the file durable and puts it in its place atomically. If this throws, the snapshot has the old file; or, if
     * its directory could not be synced, either of them.
     */
    public void commit() throws IOException {
        if (!commitIfExpected()) {
            throw new SnapshotException(held.directory() + "/" + name + " was written or replaced since its"
                    + " replacement was begun; it is left as it is");
        }
    }

    /** As {@link #commit}; returns false, and changes nothing, if the file in its place is not the expected one. */
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
