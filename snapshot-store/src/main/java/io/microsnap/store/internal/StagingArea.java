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
 * The store's {@code .staging}: each piece of unfinished work in a directory of its own, locked by its owner for as
 * long as that lives. What nobody locks was left behind.
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

    /** A name that nobody uses. */
    String freshName() {
        byte[] bytes = new byte[NAME_BYTES];
        random.nextBytes(bytes);
        return HexFormat.of().formatHex(bytes);
    }

    /** A new directory, locked; nobody waits for anybody. */
    StagingDirectory create() throws IOException {
        for (int attempt = 0; attempt < ATTEMPTS; attempt++) {
            String name = freshName();
            try {
                directory.makeDirectoryAt(name, PRIVATE);
            } catch (FileAlreadyExistsException e) {
                continue;
            }
            try {
                // Between making and locking, recovery may have taken it for a leftover.
                Optional<StagingDirectory> created = claim(name);
                if (created.isPresent()) {
                    return created.get();
                }
            } catch (Throwable failure) {
                removeAfter(failure, name);
                throw failure;
            }
        }
        throw new SnapshotException(directory + ": no staging directory could be kept; something removes them as they "
                + "are made");
    }

    /** How recovery comes by the store's lock; without it a piece stays. */
    interface Locking {
        Optional<StoreLock> take() throws IOException;
    }

    /** Removes what nobody locks. One piece that cannot be removed does not keep the others. */
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

    /** Removes a file, or a directory with all that is in it; what others remove meanwhile is as good as removed. */
    void remove(String name) throws IOException {
        remove(directory, name, DEEPEST);
    }

    @Override
    public void close() throws IOException {
        directory.close();
    }

    /** Locks a directory that nobody else has locked, if it is still there. */
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

    /** How much it occupied; empty where somebody else has it, or the store's lock. */
    private OptionalLong removeIfLeftOver(Locking locking, String name) throws IOException {
        // A publication that turns its lock into a shared one has the store's meanwhile.
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

    /** Whether a name still leads to what was opened under it. */
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
                    + " is nested deeper than anything a store makes; remove it by hand");
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

    /** What others remove meanwhile counts no more. */
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
