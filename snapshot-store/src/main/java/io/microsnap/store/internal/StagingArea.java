package io.microsnap.store.internal;

import io.microsnap.core.SnapshotException;
import io.microsnap.core.internal.posix.Constants;
import io.microsnap.core.internal.posix.Descriptor;
import io.microsnap.core.internal.posix.Stat;
import io.microsnap.store.Recovered;
import java.io.IOException;
import java.nio.file.FileAlreadyExistsException;
import java.nio.file.NoSuchFileException;
import java.security.SecureRandom;
import java.util.HexFormat;
import java.util.Optional;
import java.util.OptionalLong;

/**
 * The store's {@code .staging}: each piece of unfinished work has its own directory, locked by its owner until the
 * owner ends. A directory that no process locks is a leftover.
 */
final class StagingArea implements AutoCloseable {
    static final String NAME = ".staging";

    private static final int NAME_BYTES = 16;
    private static final int ATTEMPTS = 100;
    private static final int DEEPEST = 16;
    private static final int PRIVATE = 0700;

    private final SecureRandom random = new SecureRandom();
    private final Descriptor directory;

    StagingArea(Descriptor directory) {
        this.directory = directory;
    }

    Descriptor descriptor() {
        return directory;
    }

    /** Returns an unused name. */
    String freshName() {
        byte[] bytes = new byte[NAME_BYTES];
        random.nextBytes(bytes);
        return HexFormat.of().formatHex(bytes);
    }

    /** Makes a new directory and locks it. Never waits. */
    StagingDirectory create() throws IOException {
        for (int attempt = 0; attempt < ATTEMPTS; attempt++) {
            String name = freshName();
            try {
                directory.makeDirectoryAt(name, PRIVATE);
            } catch (FileAlreadyExistsException e) {
                continue;
            }
            try {
                // Between creation and locking, recovery may have removed it as a leftover.
                Optional<StagingDirectory> created = claim(name);
                if (created.isPresent()) {
                    return created.get();
                }
            } catch (Throwable failure) {
                removeAfter(failure, name);
                throw failure;
            }
        }
        throw new SnapshotException(directory + ": cannot keep a staging directory: another program keeps removing"
                + " them");
    }

    /** Takes the store's lock for recovery; without it a leftover stays. */
    interface Locking {
        Optional<StoreLock> take() throws IOException;
    }

    /** Removes leftovers. One that cannot be removed does not stop the removal of the others. */
    Recovered recover(Locking locking) throws IOException {
        int removed = 0;
        int alive = 0;
        long freed = 0;
        IOException failure = null;
        for (String name : directory.names()) {
            try {
                OptionalLong bytes = removeIfLeftOver(locking, name);
                freed += bytes.orElse(0);
                removed += bytes.isPresent() ? 1 : 0;
                alive += bytes.isPresent() ? 0 : 1;
            } catch (IOException e) {
                if (failure == null) {
                    failure = e;
                } else {
                    failure.addSuppressed(e);
                }
            }
        }
        if (failure != null) {
            throw failure;
        }
        return new Recovered(removed, freed, alive);
    }

    boolean isEmpty() throws IOException {
        return directory.names().isEmpty();
    }

    /**
     * Removes a file, or a directory with its content; entries that other processes remove meanwhile count as removed.
     */
    void remove(String name) throws IOException {
        remove(directory, name, DEEPEST);
    }

    @Override
    public void close() throws IOException {
        directory.close();
    }

    /** Locks a directory that no other process has locked, if it still exists. */
    private Optional<StagingDirectory> claim(String name) throws IOException {
        Descriptor opened;
        try {
            opened = openDirectory(directory, name);
        } catch (NoSuchFileException e) {
            return Optional.empty();
        }
        boolean claimed = false;
        try {
            claimed = opened.tryLock(true) && isNamed(directory, name, opened);
            return claimed ? Optional.of(new StagingDirectory(this, name, opened)) : Optional.empty();
        } finally {
            if (!claimed) {
                opened.close();
            }
        }
    }

    /** Removes a leftover and returns how much it occupied; empty if another process has locked it, or the store. */
    private OptionalLong removeIfLeftOver(Locking locking, String name) throws IOException {
        // A publication holds the store's lock while it turns its own lock into a shared one, so take the store's lock
        // first.
        Optional<StoreLock> taken = locking.take();
        if (taken.isEmpty()) {
            return OptionalLong.empty();
        }
        Optional<StagingDirectory> leftover;
        try (StoreLock _ = taken.get()) {
            Optional<Stat> status = directory.statusAt(name);
            if (status.isPresent() && !status.get().isDirectory()) {
                directory.removeAt(name);
                return OptionalLong.of(status.get().allocatedBytes());
            }
            leftover = claim(name);
        }
        if (leftover.isEmpty()) {
            return OptionalLong.empty();
        }
        try (StagingDirectory mine = leftover.get()) {
            return OptionalLong.of(occupied(mine.descriptor(), DEEPEST));
        }
    }

    private void removeAfter(Throwable failure, String name) {
        try {
            directory.removeDirectoryAt(name);
        } catch (IOException second) {
            failure.addSuppressed(second);
        }
    }

    static Descriptor openDirectory(Descriptor parent, String name) throws IOException {
        Constants constants = parent.posix().constants();
        return parent.openAt(name, constants.O_RDONLY | constants.O_DIRECTORY, 0);
    }

    /** Returns whether a name still leads to the file that was opened under it. */
    static boolean isNamed(Descriptor directory, String name, Descriptor opened) throws IOException {
        Optional<Stat> named = directory.statusAt(name);
        return named.isPresent() && named.get().sameFile(opened.status());
    }

    private static void remove(Descriptor parent, String name, int depth) throws IOException {
        Optional<Stat> status = parent.statusAt(name);
        if (status.isEmpty()) {
            return;
        }
        if (!status.get().isDirectory()) {
            parent.removeAt(name);
            return;
        }
        if (depth == 0) {
            throw new SnapshotException(parent + "/" + name
                    + " is nested more deeply than the directories that a store makes; remove it by hand");
        }
        try (Descriptor child = openDirectory(parent, name)) {
            for (String inside : child.names()) {
                remove(child, inside, depth - 1);
            }
        } catch (NoSuchFileException e) {
            return;
        }
        parent.removeDirectoryAt(name);
    }

    /** Adds up the space of a tree. Entries that other processes remove meanwhile do not count. */
    private static long occupied(Descriptor directory, int depth) throws IOException {
        long bytes = 0;
        try {
            for (String name : directory.names()) {
                Optional<Stat> status = directory.statusAt(name);
                if (status.isPresent() && status.get().isDirectory() && depth > 0) {
                    try (Descriptor child = openDirectory(directory, name)) {
                        bytes += occupied(child, depth - 1);
                    }
                } else if (status.isPresent()) {
                    bytes += status.get().allocatedBytes();
                }
            }
        } catch (NoSuchFileException gone) {
            return bytes;
        }
        return bytes;
    }
}
