package io.microsnap.store.internal;

import io.microsnap.core.DamagedException;
import io.microsnap.core.SnapshotException;
import io.microsnap.core.SnapshotId;
import io.microsnap.core.internal.file.Reflink;
import io.microsnap.core.internal.posix.Constants;
import io.microsnap.core.internal.posix.Descriptor;
import io.microsnap.core.internal.posix.Errno;
import io.microsnap.core.internal.posix.PathNames;
import io.microsnap.core.internal.posix.Posix;
import io.microsnap.core.internal.posix.Stat;
import io.microsnap.core.internal.posix.SystemCallException;
import io.microsnap.core.internal.work.Closing;
import io.microsnap.store.StoreOptions;
import java.io.IOException;
import java.lang.foreign.Arena;
import java.lang.foreign.MemorySegment;
import java.lang.foreign.ValueLayout;
import java.nio.charset.StandardCharsets;
import java.nio.file.AccessDeniedException;
import java.nio.file.FileAlreadyExistsException;
import java.nio.file.NoSuchFileException;
import java.nio.file.NotDirectoryException;
import java.nio.file.Path;
import java.util.Optional;
import java.util.Set;

/** An open store: its directory and lock. Opens, reads and seals the files in it. */
final class StoreDirectory implements AutoCloseable {
    private static final System.Logger LOG = System.getLogger(DirectoryStore.class.getName());
    private static final String STORE = "store.json";
    private static final int FORMAT = 1;
    private static final int LARGEST_STORE_JSON = 4096;
    /** The most parent directories to check: no path is deeper. */
    private static final int DEEPEST = 2048;
    private static final int WRITE_BITS = 0222;
    /** A directory that some filesystems have at their root. */
    private static final String LOST_AND_FOUND = "lost+found";
    private static final Set<String> BEFORE_A_STORE = Set.of(STORE, StagingArea.NAME, LOST_AND_FOUND);

    private final Descriptor root;
    private final StoreOptions options;
    private final StagingArea staging;
    private final Reflink reflink = new Reflink();

    private StoreDirectory(Descriptor root, StoreOptions options, StagingArea staging) {
        this.root = root;
        this.options = options;
        this.staging = staging;
    }

    static StoreDirectory open(Posix posix, Path path, StoreOptions options) throws IOException {
        return opened(openRoot(posix, path), options, false);
    }

    static StoreDirectory openOrCreate(Posix posix, Path path, StoreOptions options) throws IOException {
        Constants constants = posix.constants();
        Path parent = path.toAbsolutePath().getParent();
        if (parent != null && path.getFileName() != null) {
            try (Descriptor above = Descriptor.open(posix, parent, constants.O_RDONLY | constants.O_DIRECTORY, 0)) {
                String name = PathNames.last(path);
                if (above.statusAt(name).isEmpty()) {
                    requireOutside(above, path.toString());
                }
                try {
                    above.makeDirectoryAt(name, options.directoryMode());
                    try (Descriptor made = StagingArea.openDirectory(above, name)) {
                        giveDirectory(made, options);
                    }
                    above.sync();
                } catch (FileAlreadyExistsException e) {
                    // The directory exists already: its owner chose its mode and group.
                }
            }
        }
        return opened(openRoot(posix, path), options, true);
    }

    private static Descriptor openRoot(Posix posix, Path path) throws IOException {
        Constants constants = posix.constants();
        return Descriptor.open(posix, path, constants.O_RDONLY | constants.O_DIRECTORY, 0);
    }

    private static StoreDirectory opened(Descriptor root, StoreOptions options, boolean create) throws IOException {
        try {
            if (root.statusAt(STORE).isEmpty()) {
                if (!create) {
                    throw new SnapshotException(root + " is not a store of snapshots: it has no " + STORE);
                }
                create(root, options);
            }
            requireFormat(root);
            return new StoreDirectory(root, options,
                    new StagingArea(StagingArea.openDirectory(root, StagingArea.NAME)));
        } catch (Throwable failure) {
            try (root) {
                throw failure;
            }
        }
    }

    /** Creates a store. Other processes may be creating the same one; {@code store.json} appears last, and complete. */
    private static void create(Descriptor root, StoreOptions options) throws IOException {
        // Syncs only the directory above: another process may have just finished the same store.
        int flags = root.posix().constants().O_RDONLY | root.posix().constants().O_DIRECTORY;
        try (Descriptor above = root.openAt("..", flags, 0)) {
            requireOutside(above, root.name());
        }
        for (String name : root.names()) {
            if (!BEFORE_A_STORE.contains(name) && !StoreLock.isLock(name)) {
                throw new SnapshotException(root + " is not a store of snapshots, and not empty: it has "
                        + Printable.of(name) + "; give an empty or a new directory");
            }
        }
        try (StoreLock _ = StoreLock.acquire(root, options)) {
            if (root.statusAt(STORE).isPresent()) {
                return;
            }
            if (root.statusAt(StagingArea.NAME).isEmpty()) {
                root.makeDirectoryAt(StagingArea.NAME, options.directoryMode());
            }
            try (StagingArea area = new StagingArea(StagingArea.openDirectory(root, StagingArea.NAME))) {
                giveDirectory(area.descriptor(), options);
                // A store.json on disk must imply that the rest of the store is on disk.
                root.sync();
                try (StagingDirectory unfinished = area.create()) {
                    String json = "{\n  \"format\": " + FORMAT + "\n}\n";
                    writeFile(unfinished.descriptor(), STORE, json.getBytes(StandardCharsets.UTF_8), options);
                    unfinished.descriptor().renameAt(STORE, root, STORE, root.posix().constants().RENAME_NOREPLACE);
                }
            }
            root.sync();
        }
    }

    /** Returns whether a directory is a store. */
    static boolean isStore(Descriptor directory) throws IOException {
        return directory.statusAt(STORE).isPresent() && directory.statusAt(StagingArea.NAME).isPresent();
    }

    /** Throws if a directory is a store or lies in one, as far as this process may read the directories above it. */
    static void requireOutside(Descriptor directory, String what) throws IOException {
        Constants constants = directory.posix().constants();
        Descriptor at = directory;
        try {
            for (int depth = 0; depth < DEEPEST; depth++) {
                if (isStore(at)) {
                    throw new SnapshotException(what + " would lie in a store of snapshots ("
                            + Path.of(at.name()).normalize()
                            + "), where only the store itself puts files; give another place");
                }
                Descriptor above = at.openAt("..", at.name() + "/..", constants.O_RDONLY | constants.O_DIRECTORY, 0);
                Descriptor below = at;
                at = above;
                try {
                    if (above.status().sameFile(below.status())) {
                        return;
                    }
                } finally {
                    close(below, directory);
                }
            }
        } catch (AccessDeniedException unreadable) {
            return;
        } finally {
            close(at, directory);
        }
    }

    private static void close(Descriptor opened, Descriptor kept) throws IOException {
        if (opened != kept) {
            opened.close();
        }
    }

    private static void requireFormat(Descriptor root) throws IOException {
        Integer[] format = new Integer[1];
        byte[] document = readFile(root, STORE, LARGEST_STORE_JSON);
        String file = root + "/" + STORE;
        StrictJson.read(file, document, json -> key -> {
            if (!key.equals("format")) {
                return false;
            }
            format[0] = (int) json.integer(0, Integer.MAX_VALUE);
            return true;
        });
        if (format[0] == null) {
            throw new DamagedException(file + ": the key 'format' is missing");
        }
        if (format[0] != FORMAT) {
            throw new SnapshotException(file + ": format " + format[0] + " is not " + FORMAT
                    + ", the one this version knows; a newer version may open this store");
        }
    }

    Descriptor root() {
        return root;
    }

    StagingArea staging() {
        return staging;
    }

    StoreOptions options() {
        return options;
    }

    Reflink reflink() {
        return reflink;
    }

    /** Takes the store's lock; waits for processes that publish, delete or recover, as long as the options allow. */
    StoreLock lock() throws IOException {
        return StoreLock.acquire(root, options);
    }

    /**
     * Takes the store's lock without waiting; empty if another thread or process publishes, deletes or recovers right
     * now.
     */
    Optional<StoreLock> tryLock() throws IOException {
        return StoreLock.tryAcquire(root, options);
    }

    /** Returns whether a name in the store's directory is a snapshot's, whole or not. */
    static boolean isEntry(String name) {
        return !name.startsWith(".") && !name.equals(STORE) && !name.equals(LOST_AND_FOUND);
    }

    /** Returns the directory of a snapshot. */
    Descriptor openSnapshot(SnapshotId id) throws IOException {
        try {
            return StagingArea.openDirectory(root, id.key());
        } catch (NoSuchFileException e) {
            throw noSuchSnapshot(id);
        }
    }

    /** Opens a directory in the store; anything else under that name is damage. */
    static Descriptor openEntry(Descriptor root, String name) throws IOException {
        if (root.statusAt(name).filter(status -> !status.isDirectory()).isPresent()) {
            throw new DamagedException(root + "/" + Printable.of(name) + " is not a directory");
        }
        return StagingArea.openDirectory(root, name);
    }

    static Descriptor openAttachments(Descriptor snapshot) throws IOException {
        return openOwn(snapshot, SnapshotFiles.ATTACHMENTS, snapshot.posix().constants().O_DIRECTORY);
    }

    /** Opens a file of a snapshot; a missing file, or one of another kind, is damage. */
    private static Descriptor openOwn(Descriptor directory, String name, int flags) throws IOException {
        Constants constants = directory.posix().constants();
        try {
            return directory.openAt(name, constants.O_RDONLY | constants.O_NONBLOCK | flags, 0);
        } catch (NoSuchFileException e) {
            throw new DamagedException(directory + "/" + name + " is missing", e);
        } catch (NotDirectoryException e) {
            throw new DamagedException(directory + "/" + name + " is not a directory", e);
        } catch (SystemCallException e) {
            // A symbolic link, a socket.
            if (e.errno() == Errno.ELOOP || e.errno() == Errno.ENXIO) {
                throw new DamagedException(directory + "/" + name + " is not a plain file", e);
            }
            throw e;
        }
    }

    NoSuchFileException noSuchSnapshot(SnapshotId id) {
        return new NoSuchFileException(root + "/" + id.key(), null, "the store has no snapshot " + id);
    }

    /** Returns the manifest in a snapshot's directory, which must be the one of that name. */
    static StoredManifest manifest(Descriptor snapshot, String key) throws IOException {
        String file = snapshot + "/" + SnapshotFiles.MANIFEST;
        if (snapshot.statusAt(SnapshotFiles.MANIFEST).isEmpty() && isStore(snapshot)) {
            throw new SnapshotException(snapshot + " is a store, not a snapshot; move it out of this store");
        }
        byte[] document = readFile(snapshot, SnapshotFiles.MANIFEST, StoredManifest.LARGEST_BYTES);
        StoredManifest manifest = StoredManifest.parse(file, document);
        if (!manifest.id().key().equals(key)) {
            throw new DamagedException(file + " is the manifest of "
                    + manifest.id() + ", not of " + Printable.of(key));
        }
        return manifest;
    }

    /** Throws unless every file that the manifest lists exists, is a plain file and has its length. */
    static void requireFiles(Descriptor snapshot, StoredManifest manifest) throws IOException {
        boolean attachments = false;
        for (SnapshotFile file : manifest.files()) {
            if (SnapshotFiles.isAttachment(file.name())) {
                attachments = true;
            } else {
                requireFile(snapshot, file.name(), file);
            }
        }
        if (attachments) {
            try (Descriptor directory = openAttachments(snapshot)) {
                for (SnapshotFile file : manifest.files()) {
                    if (SnapshotFiles.isAttachment(file.name())) {
                        requireFile(directory, file.name().substring(SnapshotFiles.ATTACHMENT_PREFIX.length()), file);
                    }
                }
            }
        }
    }

    private static void requireFile(Descriptor directory, String name, SnapshotFile file) throws IOException {
        Optional<Stat> status = directory.statusAt(name);
        if (status.isEmpty()) {
            throw new DamagedException(directory + "/" + name + " is missing");
        }
        requireForm(directory + "/" + name, status.get(), file.lengthBytes());
    }

    private static void requireForm(String name, Stat status, long lengthBytes) throws DamagedException {
        if (!status.isRegularFile()) {
            throw new DamagedException(name + " is not a plain file");
        }
        if (status.sizeBytes() != lengthBytes) {
            throw new DamagedException(name + " has " + status.sizeBytes() + " bytes, but its manifest says "
                    + lengthBytes);
        }
    }

    /** Opens a file of this length for reading. Never waits, even if a pipe or device has its place. */
    static Descriptor openFile(Descriptor directory, String name, long lengthBytes) throws IOException {
        Descriptor file = openOwn(directory, name, 0);
        try {
            requireForm(file.name(), file.status(), lengthBytes);
            return file;
        } catch (Throwable failure) {
            try (file) {
                throw failure;
            }
        }
    }

    /** Reads a small file whole. */
    static byte[] readFile(Descriptor directory, String name, int largest) throws IOException {
        try (Descriptor file = openOwn(directory, name, 0);
                Arena arena = Arena.ofConfined()) {
            Stat status = file.status();
            if (!status.isRegularFile()) {
                throw new DamagedException(file + " is not a plain file");
            }
            if (status.sizeBytes() > largest) {
                throw new DamagedException(file + " has " + status.sizeBytes() + " bytes; at most " + largest
                        + " are allowed");
            }
            MemorySegment bytes = arena.allocate(Math.max(1, status.sizeBytes()));
            long read = file.read(bytes, 0);
            return bytes.asSlice(0, Math.min(read, status.sizeBytes())).toArray(ValueLayout.JAVA_BYTE);
        }
    }

    /** Writes a new small file, seals it and makes it durable. */
    void writeFile(Descriptor directory, String name, byte[] content) throws IOException {
        writeFile(directory, name, content, options);
    }

    private static void writeFile(Descriptor directory, String name, byte[] content, StoreOptions options)
            throws IOException {
        Constants constants = directory.posix().constants();
        int flags = constants.O_RDWR | constants.O_CREAT | constants.O_EXCL;
        try (Descriptor file = directory.openAt(name, flags, 0600); Arena arena = Arena.ofConfined()) {
            file.writeFully(arena.allocateFrom(ValueLayout.JAVA_BYTE, content), 0);
            giveFile(file, options);
            file.sync();
        }
    }

    /** Gives a file the group of the store's options and removes its write bits: published files do not change. */
    void seal(Descriptor file) throws IOException {
        giveFile(file, options);
    }

    void sealDirectory(Descriptor directory) throws IOException {
        giveDirectory(directory, options);
    }

    private static void giveFile(Descriptor file, StoreOptions options) throws IOException {
        if (options.group().isPresent()) {
            file.group(options.group().getAsInt());
        }
        file.permissions(options.fileMode() & ~WRITE_BITS);
    }

    private static void giveDirectory(Descriptor directory, StoreOptions options) throws IOException {
        if (options.group().isPresent()) {
            directory.group(options.group().getAsInt());
        }
        directory.permissions(options.directoryMode());
    }

    @Override
    public void close() {
        Closing closing = new Closing();
        closing.add(root);
        closing.add(staging);
        closing.closeQuietly(LOG);
    }
}
