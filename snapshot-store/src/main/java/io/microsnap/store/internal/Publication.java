package io.microsnap.store.internal;

import io.microsnap.core.BusyException;
import io.microsnap.core.IfExists;
import io.microsnap.core.SnapshotException;
import io.microsnap.core.SnapshotId;
import io.microsnap.core.SnapshotReference;
import io.microsnap.core.internal.posix.Constants;
import io.microsnap.core.internal.posix.Descriptor;
import io.microsnap.core.internal.work.Closing;
import io.microsnap.store.MissingBaseException;
import io.microsnap.store.SnapshotRequiredException;
import io.microsnap.store.SnapshotStore;
import java.io.IOException;
import java.nio.file.FileAlreadyExistsException;
import java.nio.file.NoSuchFileException;
import java.nio.file.NotDirectoryException;
import java.time.Instant;
import java.time.temporal.ChronoUnit;
import java.util.List;
import java.util.Map;
import java.util.Optional;

/**
 * Makes a snapshot appear, replace another one, or go. Each change is one rename under the store's lock, and durable
 * before the lock is released, so that the next change builds on it.
 */
final class Publication {
    private static final System.Logger LOG = System.getLogger(DirectoryStore.class.getName());

    private Publication() {
    }

    /** The protections to ignore. Only a caller that deletes a snapshot by name may claim that nothing needs it. */
    record Force(boolean evenIfHeld, boolean evenIfMaybeRequired) {
        static final Force NONE = new Force(false, false);
        static final Force FULL = new Force(true, true);

        static Force of(IfExists ifExists) {
            return new Force(ifExists == IfExists.REPLACE_EVEN_IF_HELD, false);
        }
    }

    static Instant now() {
        return Instant.now().truncatedTo(ChronoUnit.MICROS);
    }

    /** Renames the staged directory, whose content is durable, to the snapshot's name. */
    static void publish(StoreDirectory store, StagingDirectory staged, StoredManifest manifest, IfExists ifExists)
            throws IOException {
        StoreEvents.Publish event = StoreEvents.publish();
        Optional<Leaving> replaced = Optional.empty();
        try (StoreLock _ = store.lock()) {
            requireBase(store, manifest);
            if (store.root().statusAt(manifest.id().key()).isEmpty()) {
                appear(store, staged, manifest.id());
            } else if (ifExists == IfExists.REFUSE) {
                throw new FileAlreadyExistsException(store.root() + "/" + manifest.id().key(), null,
                        "the store has a snapshot " + manifest.id()
                                + " already; delete it, replace it, or use another id");
            } else {
                replaced = Optional.of(replace(store, staged, manifest, ifExists));
            }
        }
        event.end(store, manifest, replaced.isPresent());
        if (replaced.isPresent()) {
            replaced.get().remove();
        }
    }

    /**
     * Exchanges the staged directory, whose content is durable, with that of the held snapshot. A process that uses the
     * old one keeps it: the old directory lies in the staging area, locked by its users, and recovery removes it when
     * no process locks it.
     */
    static void exchange(StoreDirectory store, StagingDirectory staged, StoredSnapshot held, StoredManifest manifest)
            throws IOException {
        StoreEvents.Publish event = StoreEvents.publish();
        SnapshotId id = held.id();
        try (StoreLock _ = store.lock()) {
            if (!StagingArea.isNamed(store.root(), id.key(), held.directory())) {
                throw new NoSuchFileException(store.root() + "/" + id.key(), null,
                        id + " was deleted or replaced meanwhile");
            }
            share(staged);
            exchange(store, staged, id);
        }
        event.end(store, manifest, true);
    }

    /** Removes the snapshot's name, and then its files. */
    static void delete(StoreDirectory store, SnapshotId id, Optional<SnapshotReference> only, Force force)
            throws IOException {
        StoreEvents.Delete event = StoreEvents.delete();
        Leaving leaving;
        try (StoreLock _ = store.lock()) {
            if (only.isPresent()) {
                requireSame(store, only.get());
            }
            leaving = leaving(store, id, force, Optional.empty());
            boolean renamed = false;
            try {
                Constants constants = store.root().posix().constants();
                String name = store.staging().freshName();
                store.root().renameAt(id.key(), store.staging().descriptor(), name, constants.RENAME_NOREPLACE);
                leaving.renamedTo(name);
                durable(store, () -> store.staging().descriptor().renameAt(
                        name, store.root(), id.key(), constants.RENAME_NOREPLACE));
                renamed = true;
            } finally {
                if (!renamed) {
                    leaving.stays();
                }
            }
        }
        event.end(store, id);
        leaving.remove();
    }

    private static void appear(StoreDirectory store, StagingDirectory staged, SnapshotId id) throws IOException {
        Constants constants = store.root().posix().constants();
        share(staged);
        store.staging().descriptor().renameAt(staged.name(), store.root(), id.key(), constants.RENAME_NOREPLACE);
        staged.renamedAway();
        durable(store, () -> {
            store.root().renameAt(
                    id.key(), store.staging().descriptor(), staged.name(), constants.RENAME_NOREPLACE);
            staged.renamedBack();
        });
    }

    private static Leaving replace(StoreDirectory store, StagingDirectory staged, StoredManifest manifest,
            IfExists ifExists) throws IOException {
        SnapshotId id = manifest.id();
        Leaving old = leaving(store, id, Force.of(ifExists), manifest.requiredBase());
        boolean exchanged = false;
        try {
            share(staged);
            exchange(store, staged, id);
            old.renamedTo(staged.name());
            exchanged = true;
            return old;
        } finally {
            if (!exchanged) {
                old.stays();
            }
        }
    }

    /** Exchanges the directories. The old snapshot then has the staged name and must survive a failure to sync. */
    private static void exchange(StoreDirectory store, StagingDirectory staged, SnapshotId id) throws IOException {
        Constants constants = store.root().posix().constants();
        store.staging().descriptor().renameAt(staged.name(), store.root(), id.key(), constants.RENAME_EXCHANGE);
        staged.renamedAway();
        durable(store, () -> {
            store.staging().descriptor().renameAt(staged.name(), store.root(), id.key(), constants.RENAME_EXCHANGE);
            staged.renamedBack();
        });
    }

    /** Turns the lock into a shared one: once the snapshot is visible, other processes may lock it, too. */
    private static void share(StagingDirectory staged) throws IOException {
        if (!staged.descriptor().tryLock(false)) {
            throw new SnapshotException(staged.descriptor() + " was locked by another process while it was staged");
        }
    }

    /** Makes the rename survive a power failure, or undoes it. */
    private static void durable(StoreDirectory store, Closing.Step undo) throws IOException {
        try {
            store.root().sync();
        } catch (IOException failure) {
            try {
                undo.run();
            } catch (IOException second) {
                failure.addSuppressed(new SnapshotException(store.root()
                        + ": the renamed directory could not be renamed back; it is visible, and may not survive a"
                        + " power failure", second));
            }
            throw failure;
        }
    }

    private static void requireBase(StoreDirectory store, StoredManifest manifest) throws IOException {
        StoredManifest at = manifest;
        for (int length = 1; at.requiredBase().isPresent(); length++) {
            if (length == SnapshotStore.LONGEST_CHAIN) {
                throw new ChainTooLongException(manifest.id());
            }
            at = base(store, at, at.requiredBase().get());
        }
    }

    private static StoredManifest base(StoreDirectory store, StoredManifest manifest, SnapshotReference base)
            throws IOException {
        StoredManifest found;
        try (Descriptor directory = store.openSnapshot(base.id())) {
            found = StoreDirectory.manifest(directory, base.id().key());
        } catch (NoSuchFileException e) {
            throw new MissingBaseException(manifest.id().name(), base, "which is not in " + store.root());
        }
        if (!found.reference().equals(base)) {
            throw new MissingBaseException(manifest.id().name(), base, "but the store has " + found.reference());
        }
        return found;
    }

    private static void requireSame(StoreDirectory store, SnapshotReference wanted) throws IOException {
        SnapshotId id = wanted.id();
        try (Descriptor directory = store.openSnapshot(id)) {
            SnapshotReference found = StoreDirectory.manifest(directory, id.key()).reference();
            if (!found.equals(wanted)) {
                throw new NoSuchFileException(store.root() + "/" + id.key(), null,
                        "the store has " + found + " in the place of " + wanted);
            }
        }
    }

    /** Makes sure that no snapshot needs this one and, unless forced, that no process uses it. */
    private static Leaving leaving(StoreDirectory store, SnapshotId id, Force force,
            Optional<SnapshotReference> requiredBySuccessor) throws IOException {
        Optional<Descriptor> opened = open(store, id);
        try {
            if (opened.isPresent() && StoreDirectory.isStore(opened.get())) {
                throw new SnapshotException(opened.get() + " is a store of its own and not a snapshot; move it out of "
                        + store.root());
            }
            Optional<SnapshotReference> reference = opened.flatMap(directory -> reference(directory, id));
            requireNoDependents(store, id, reference, force.evenIfMaybeRequired);
            if (requiredBySuccessor.filter(base -> base.id().equals(id)).isPresent()) {
                throw new SnapshotRequiredException(id, List.of(id));
            }
            if (opened.isPresent() && !opened.get().tryLock(true) && !force.evenIfHeld) {
                throw new BusyException(id + " is in use; retry when no process holds it, or force it");
            }
            return new Leaving(store.staging(), opened);
        } catch (Throwable failure) {
            if (opened.isPresent()) {
                opened.get().close();
            }
            throw failure;
        }
    }

    /** If the snapshot's uuid is unknown, every snapshot that names its id counts as needing it. */
    private static void requireNoDependents(StoreDirectory store, SnapshotId id,
            Optional<SnapshotReference> reference, boolean evenIfUnknown) throws IOException {
        Listing listing = Listing.ofManifests(store);
        List<SnapshotId> dependents = listing.manifests().stream()
                .filter(manifest -> manifest.requiredBase().filter(base -> base.id().equals(id)
                        && (reference.isEmpty() || base.uuid().equals(reference.get().uuid()))).isPresent())
                .map(StoredManifest::id).filter(dependent -> !dependent.equals(id)).toList();
        if (!dependents.isEmpty()) {
            throw new SnapshotRequiredException(id, dependents);
        }
        Map<String, String> unreadable = listing.mayRequireABase();
        unreadable.remove(id.key());
        if (!unreadable.isEmpty() && !evenIfUnknown) {
            throw new DependentsUnknownException(id, unreadable);
        }
    }

    /** Opens the directory. Empty for anything else, which no process can hold. */
    private static Optional<Descriptor> open(StoreDirectory store, SnapshotId id) throws IOException {
        try {
            return Optional.of(store.openSnapshot(id));
        } catch (NotDirectoryException e) {
            return Optional.empty();
        }
    }

    private static Optional<SnapshotReference> reference(Descriptor directory, SnapshotId id) {
        try {
            return Optional.of(StoreDirectory.manifest(directory, id.key()).reference());
        } catch (IOException e) {
            LOG.log(System.Logger.Level.DEBUG, "the manifest of " + id + " cannot be read", e);
            return Optional.empty();
        }
    }

    /** A snapshot that is being deleted: locked, if that was possible, until its files are gone. */
    private static final class Leaving {
        private final StagingArea area;
        private final Optional<Descriptor> directory;
        private String name;

        Leaving(StagingArea area, Optional<Descriptor> directory) {
            this.area = area;
            this.directory = directory;
        }

        void renamedTo(String newName) {
            name = newName;
        }

        void stays() throws IOException {
            if (directory.isPresent()) {
                directory.get().close();
            }
        }

        /**
         * Removes the files of a snapshot that has left the store. The next recovery removes what cannot be removed
         * now.
         */
        void remove() {
            Closing closing = new Closing();
            directory.ifPresent(closing::add);
            closing.add(() -> area.remove(name));
            try {
                closing.close();
            } catch (IOException e) {
                LOG.log(System.Logger.Level.WARNING, "{0}/{1} takes space until the next recovery: {2}",
                        area.descriptor(), name, e.getMessage());
            }
        }
    }
}
