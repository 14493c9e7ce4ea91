package io.microsnap.core.internal.file;

import io.microsnap.core.IfExists;
import io.microsnap.core.SnapshotException;
import io.microsnap.core.internal.posix.Constants;
import io.microsnap.core.internal.posix.Descriptor;
import io.microsnap.core.internal.posix.Errno;
import io.microsnap.core.internal.posix.Posix;
import io.microsnap.core.internal.posix.Stat;
import io.microsnap.core.internal.posix.SystemCallException;
import java.io.IOException;
import java.nio.file.AccessDeniedException;
import java.nio.file.FileAlreadyExistsException;
import java.nio.file.NoSuchFileException;
import java.nio.file.Path;
import java.util.EnumSet;
import java.util.HexFormat;
import java.util.Optional;
import java.util.Set;
import java.util.concurrent.ThreadLocalRandom;
import java.util.regex.Pattern;

/**
 * A file that appears whole or not at all. It is written under a private name beside its destination and takes the
 * destination's name in {@link #commit}. Closing it without a commit removes it and leaves the destination as it was.
 *
 * <p>Its owner holds a lock on it until it is closed. The process that stages the next file in the same directory
 * removes those whose owners died. One thread at a time.
 */
public final class StagedFile implements AutoCloseable {
    private static final String PREFIX = ".microsnap-";
    private static final String SUFFIX = ".staged";
    private static final String KEPT = ".kept";
    private static final Pattern STAGED = Pattern.compile("\\.microsnap-[0-9a-f]{16}\\.staged");
    static final int PRIVATE = 0600;
    private static final int ATTEMPTS = 100;
    private static final Set<Errno> CANNOT_LOCK = EnumSet.of(Errno.ENOSYS, Errno.EOPNOTSUPP, Errno.ENOTSUP);
    private static final Set<Errno> CANNOT_RENAME_SO =
            EnumSet.of(Errno.EINVAL, Errno.ENOSYS, Errno.EOPNOTSUPP, Errno.ENOTSUP);
    private static final System.Logger LOG = System.getLogger(StagedFile.class.getName());

    private final Destination destination;
    private final boolean ownsDirectory;
    private Descriptor file;
    private String stagedName;
    private boolean stagedNameInUse;
    private boolean committed;
    private boolean closed;

    private StagedFile(Destination destination, boolean ownsDirectory) {
        this.destination = destination;
        this.ownsDirectory = ownsDirectory;
    }

    /** Makes a new file: empty, or as the clone of another. */
    interface Origin {
        /** Makes a file that was not there before, open for reading and writing. */
        Descriptor make(Descriptor directory, String name, String knownAs) throws IOException;
    }

    /** Begins a file that will appear at this path. */
    public static StagedFile create(Posix posix, Path path) throws IOException {
        Destination destination = Destination.open(posix, path);
        try {
            return create(destination, true);
        } catch (Throwable failure) {
            Descriptor directory = destination.directory();
            try (directory) {
                throw failure;
            }
        }
    }

    /** Begins a file that will appear under this name in a directory. The caller keeps the directory open. */
    public static StagedFile create(Descriptor directory, String name) throws IOException {
        return create(new Destination(directory, name), false);
    }

    private static StagedFile create(Destination destination, boolean ownsDirectory) throws IOException {
        Optional<Stat> existing = destination.directory().statusAt(destination.name());
        if (existing.isPresent()) {
            destination.requirePlainFile(existing.get());
        }
        removeLeftovers(destination.directory());
        StagedFile staged = new StagedFile(destination, ownsDirectory);
        staged.make(StagedFile::makeEmpty);
        return staged;
    }

    /** Returns the file being written: open for reading and writing, mode 0600, until this is closed. */
    public Descriptor descriptor() {
        if (closed) {
            throw new IllegalStateException(destination + " is no longer staged: closed");
        }
        return file;
    }

    /** Returns the name of the destination for messages. */
    public String destinationName() {
        return destination.toString();
    }

    /** As {@link #commit(Durability, IfExists)}, replacing what is there. */
    public void commit(Durability durability) throws IOException {
        commit(durability, IfExists.REPLACE);
    }

    /**
     * Makes the file durable as asked and visible under the destination's name. When this throws, the destination is
     * what it was before, and closing removes the staged file; after a failed sync no further commit succeeds.
     */
    public void commit(Durability durability, IfExists ifExists) throws IOException {
        if (committed) {
            throw new IllegalStateException(destination + " is already committed");
        }
        durability.sync(descriptor());
        if (ifExists == IfExists.REFUSE) {
            appear(durability);
        } else if (durability == Durability.FULL) {
            replaceUndoably();
        } else {
            rename(stagedName, destination.name(), 0);
        }
        committed = true;
    }

    /**
     * Makes the file durable as asked and puts it in the place of one particular file, if that is still there and
     * unwritten. The two files are exchanged first; if the old one turns out to have been written before, they are
     * exchanged back.
     *
     * @param expected the file to be replaced, as it was when it was last known
     * @return false if it is another file, or was written; nothing is replaced then
     */
    public boolean commitInPlaceOf(Stat expected, Durability durability) throws IOException {
        if (committed) {
            throw new IllegalStateException(destination + " is already committed");
        }
        durability.sync(descriptor());
        Optional<Stat> existing = destination.directory().statusAt(destination.name());
        committed = existing.isPresent() && existing.get().isUnchangedSince(expected) && exchange(expected, durability);
        return committed;
    }

    /** Closes the file; one that was not committed is removed. A second call does nothing. */
    @Override
    public void close() throws IOException {
        if (closed) {
            return;
        }
        closed = true;
        try {
            dropFile();
        } catch (IOException failure) {
            if (!committed) {
                throw failure;
            }
            // The commit succeeded, so a failure to close must not be reported as its failure.
            LOG.log(System.Logger.Level.WARNING, "closing " + destination + " failed after it was committed", failure);
        } finally {
            if (ownsDirectory) {
                destination.directory().close();
            }
        }
    }

    /**
     * Drops the file made so far and makes it again from another origin. Clones need this where the system clones only
     * into new names.
     */
    void makeAgain(Origin origin) throws IOException {
        dropFile();
        make(origin);
    }

    static Descriptor makeEmpty(Descriptor directory, String name, String knownAs) throws IOException {
        Constants constants = directory.posix().constants();
        return directory.openAt(name, knownAs, constants.O_RDWR | constants.O_CREAT | constants.O_EXCL, PRIVATE);
    }

    private void make(Origin origin) throws IOException {
        Descriptor directory = destination.directory();
        for (int attempt = 0; attempt < ATTEMPTS; attempt++) {
            String name = PREFIX + HexFormat.of().toHexDigits(ThreadLocalRandom.current().nextLong()) + SUFFIX;
            Descriptor made;
            try {
                made = origin.make(directory, name, destination + " (staged)");
            } catch (FileAlreadyExistsException taken) {
                continue;
            }
            file = made;
            stagedName = name;
            stagedNameInUse = true;
            try {
                // Between creation and locking, another process may have taken the file for a leftover and removed it.
                if (lock(made) && isNamed(directory, name, made.status())) {
                    return;
                }
                stagedNameInUse = false;
                made.close();
            } catch (Throwable failure) {
                try {
                    dropFile();
                } catch (IOException second) {
                    failure.addSuppressed(second);
                }
                throw failure;
            }
        }
        throw new SnapshotException(destination + ": cannot keep a staged file beside it: another program removes new"
                + " files from that directory");
    }

    private static boolean lock(Descriptor file) throws IOException {
        try {
            return file.tryLock(true);
        } catch (SystemCallException failure) {
            if (CANNOT_LOCK.contains(failure.errno())) {
                // Where locks do not work, no process can recognize a leftover, and none is removed.
                return true;
            }
            throw failure;
        }
    }

    private static boolean isNamed(Descriptor directory, String name, Stat file) throws IOException {
        Optional<Stat> named = directory.statusAt(name);
        return named.isPresent() && named.get().sameFile(file);
    }

    /** Takes the destination's name, which must be free. */
    private void appear(Durability durability) throws IOException {
        Constants constants = destination.directory().posix().constants();
        rename(stagedName, destination.name(), constants.RENAME_NOREPLACE);
        if (durability == Durability.FULL) {
            try {
                destination.directory().sync();
            } catch (IOException failure) {
                undoAfter(failure, constants.RENAME_NOREPLACE);
                throw failure;
            }
        }
    }

    /** Replaces the destination and keeps the old file at hand until the new one's name is durable. */
    private void replaceUndoably() throws IOException {
        Descriptor directory = destination.directory();
        for (int attempt = 0; attempt < ATTEMPTS; attempt++) {
            Optional<Stat> existing = directory.statusAt(destination.name());
            try {
                if (existing.isEmpty()) {
                    appear(Durability.FULL);
                } else {
                    exchange(existing.get());
                }
                return;
            } catch (FileAlreadyExistsException | NoSuchFileException changed) {
                // Another process made or removed the destination since the last look: look again.
                if (directory.statusAt(stagedName).isEmpty()) {
                    throw changed;
                }
            } catch (SystemCallException failure) {
                if (!failure.call().equals("renameat2") || !CANNOT_RENAME_SO.contains(failure.errno())) {
                    throw failure;
                }
                replaceForGood();
                return;
            }
        }
        throw new SnapshotException(destination + ": another process keeps making and removing it");
    }

    private void exchange(Stat existing) throws IOException {
        destination.requirePlainFile(existing);
        Descriptor old;
        try {
            old = openOld();
        } catch (AccessDeniedException unreadable) {
            // A file that cannot be opened cannot be locked, and so cannot be kept.
            replaceForGood();
            return;
        }
        try (old) {
            exchange(old, Optional.empty(), Durability.FULL);
        }
    }

    private boolean exchange(Stat expected, Durability durability) throws IOException {
        try (Descriptor old = openOld()) {
            return exchange(old, Optional.of(expected), durability);
        }
    }

    private Descriptor openOld() throws IOException {
        Constants constants = destination.directory().posix().constants();
        return destination.directory().openAt(destination.name(), constants.O_RDONLY | constants.O_NONBLOCK, 0);
    }

    /** Returns false, with everything as it was, if another file was there than the one expected. */
    private boolean exchange(Descriptor old, Optional<Stat> expected, Durability durability) throws IOException {
        // The old file briefly has the staged name: the lock keeps other processes from removing it as a leftover.
        lockShared(old);
        int flags = destination.directory().posix().constants().RENAME_EXCHANGE;
        rename(stagedName, destination.name(), flags);
        stagedNameInUse = true;
        boolean stays = false;
        try {
            Optional<Stat> replaced = destination.directory().statusAt(stagedName);
            if (replaced.isPresent()) {
                destination.requirePlainFile(replaced.get());
            }
            stays = expected.isEmpty() || (replaced.isPresent() && replaced.get().isUnchangedSince(expected.get()));
            if (stays && durability == Durability.FULL) {
                destination.directory().sync();
            }
        } catch (IOException failure) {
            undoAfter(failure, flags);
            throw failure;
        }
        if (stays) {
            removeReplaced();
        } else {
            putBack(flags);
        }
        return stays;
    }

    /** Puts an unexpected old file back at the destination: its content may exist nowhere else. */
    private void putBack(int flags) throws IOException {
        if (!isNamed(destination.directory(), destination.name(), file.status())) {
            // Another process has replaced the destination since; leave that file there.
            return;
        }
        stagedNameInUse = false;
        try {
            rename(destination.name(), stagedName, flags);
        } catch (IOException failure) {
            throw new SnapshotException(destination + " was written while it was being replaced, and could not be put"
                    + " back: what was written is in " + keep(failure) + " beside it; rename it", failure);
        }
        stagedNameInUse = true;
    }

    /** Renames the only copy of a content, so that no process removes it as a leftover. */
    private String keep(IOException failure) {
        String kept = stagedName.substring(0, stagedName.length() - SUFFIX.length()) + KEPT;
        try {
            rename(stagedName, kept, destination.directory().posix().constants().RENAME_NOREPLACE);
            return kept;
        } catch (IOException second) {
            failure.addSuppressed(second);
            return stagedName + " (move it before anything else is staged there: it would be removed)";
        }
    }

    private static void lockShared(Descriptor old) throws IOException {
        try {
            // Another process's exclusive lock protects it just as well.
            old.tryLock(false);
        } catch (SystemCallException failure) {
            if (!CANNOT_LOCK.contains(failure.errno())) {
                throw failure;
            }
        }
    }

    private void replaceForGood() throws IOException {
        rename(stagedName, destination.name(), 0);
        try {
            destination.directory().sync();
        } catch (IOException failure) {
            throw new SnapshotException(destination + " is replaced, but a power failure may bring back the old file",
                    failure);
        }
    }

    private void rename(String from, String to, int flags) throws IOException {
        destination.directory().renameAt(from, to, flags);
        stagedNameInUse = false;
    }

    private void undoAfter(IOException failure, int flags) {
        try {
            // Another process may have put a file there since: leave that one.
            if (isNamed(destination.directory(), destination.name(), file.status())) {
                rename(destination.name(), stagedName, flags);
                stagedNameInUse = true;
            }
        } catch (IOException undoing) {
            failure.addSuppressed(new SnapshotException(
                    destination + " could not be put back as it was: the new file is in its place", undoing));
            committed = true;
        }
    }

    private void removeReplaced() {
        try {
            removeStagedName();
        } catch (IOException failure) {
            // The new file is in place and durable. Closing tries again, then the next owner does.
            LOG.log(System.Logger.Level.WARNING, "the file replaced at " + destination + " is still there as "
                    + stagedName, failure);
        }
    }

    private void removeStagedName() throws IOException {
        if (stagedNameInUse) {
            destination.directory().removeAt(stagedName);
            stagedNameInUse = false;
        }
    }

    /** Removes the name while the lock is still held; closing the descriptor releases it. */
    private void dropFile() throws IOException {
        try {
            removeStagedName();
        } finally {
            file.close();
        }
    }

    private static void removeLeftovers(Descriptor directory) {
        try {
            for (String name : directory.names()) {
                if (STAGED.matcher(name).matches()) {
                    removeIfLeftOver(directory, name);
                }
            }
        } catch (IOException failure) {
            // Removing other processes' leftovers must not fail this process's work.
            LOG.log(System.Logger.Level.DEBUG, "staged files of dead processes stay in " + directory, failure);
        }
    }

    private static void removeIfLeftOver(Descriptor directory, String name) {
        Constants constants = directory.posix().constants();
        try (Descriptor file = directory.openAt(name, constants.O_RDONLY | constants.O_NONBLOCK, 0)) {
            Stat status = file.status();
            if (status.isRegularFile() && file.tryLock(true) && isNamed(directory, name, status)) {
                directory.removeAt(name);
                // Its owner is dead, or has just made it and not locked it yet; such an owner will notice and make
                // another.
                LOG.log(System.Logger.Level.DEBUG, "removed {0}/{1}: no process had locked it", directory, name);
            }
        } catch (IOException failure) {
            LOG.log(System.Logger.Level.DEBUG, "a staged file stays in " + directory, failure);
        }
    }
}
