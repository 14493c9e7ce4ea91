package io.microsnap.store.internal;

import io.microsnap.core.BusyException;
import io.microsnap.core.DamagedException;
import io.microsnap.core.IfExists;
import io.microsnap.core.Progress;
import io.microsnap.core.SnapshotException;
import io.microsnap.core.SnapshotId;
import io.microsnap.core.SnapshotReference;
import io.microsnap.core.internal.file.CopyOptions;
import io.microsnap.core.internal.file.Durability;
import io.microsnap.core.internal.file.FileCopy;
import io.microsnap.core.internal.file.ReflinkOutcome;
import io.microsnap.core.internal.file.StagedFile;
import io.microsnap.core.internal.posix.Constants;
import io.microsnap.core.internal.posix.Descriptor;
import io.microsnap.core.internal.posix.Posix;
import io.microsnap.core.internal.work.Closing;
import io.microsnap.store.MissingBaseException;
import io.microsnap.store.SnapshotRequiredException;
import java.io.IOException;
import java.nio.file.FileAlreadyExistsException;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.Comparator;
import java.util.HashMap;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Locale;
import java.util.Map;
import java.util.Optional;
import java.util.UUID;

/**
 * A snapshot being written: invisible to others until {@link #publish}, gone if this is closed before. Staging,
 * filling and publishing may lie minutes apart and on different threads.
 *
 * <p>Descriptors handed out stay open, and the published snapshot is protected from deletion, until this is closed.
 */
public final class StagedSnapshot implements AutoCloseable {
    private static final System.Logger LOG = System.getLogger(DirectoryStore.class.getName());
    private static final int PRIVATE = 0600;

    private final StoreDirectory store;
    private final SnapshotId id;
    private final StagingDirectory directory;
    private final Map<String, Descriptor> files = new LinkedHashMap<>();
    private final Map<String, SnapshotFile> originals = new HashMap<>();
    private Descriptor attachments;
    private Optional<LatestWorkingSet> workingSet = Optional.empty();
    private boolean published;
    private boolean closed;

    StagedSnapshot(StoreDirectory store, SnapshotId id) throws IOException {
        this.store = store;
        this.id = id;
        directory = store.staging().create();
    }

    public SnapshotId id() {
        return id;
    }

    /**
     * Makes one of the files named in {@link SnapshotFiles}, or an attachment named by {@link
     * SnapshotFiles#attachment}: empty, open for reading and writing. This object closes it.
     */
    public synchronized Descriptor create(String file) throws IOException {
        Constants constants = directory.descriptor().posix().constants();
        return add(file, constants.O_CREAT | constants.O_EXCL);
    }

    /**
     * Makes a file that shares the source's blocks; {@link #file} then returns it. If the filesystem cannot clone, the
     * outcome says why and there is no file: make it in another way.
     */
    public synchronized ReflinkOutcome clone(String file, Descriptor source) throws IOException {
        requireNew(file);
        try (StagedFile clone = StagedFile.create(parent(file), leaf(file))) {
            ReflinkOutcome outcome = store.reflink().cloneInto(source, clone);
            if (outcome.isCloned()) {
                clone.commit(Durability.NONE, IfExists.REFUSE);
                add(file, 0);
            }
            return outcome;
        }
    }

    /** Makes a file with the source's content: sharing its blocks where the filesystem can, and leaving its holes. */
    public synchronized Descriptor copy(String file, Descriptor source, Progress progress) throws IOException {
        requireNew(file);
        CopyOptions options = CopyOptions.DEFAULTS.with(Durability.NONE).with(progress).withMode(PRIVATE);
        new FileCopy(store.reflink()).copy(source, parent(file), leaf(file), options);
        return add(file, 0);
    }

    /**
     * Copies a file of another snapshot, attachments included. Publication refuses the copy as damaged unless it has
     * the digest in the other snapshot's manifest.
     */
    public synchronized Descriptor copy(String file, StoredSnapshot from, Progress progress) throws IOException {
        Descriptor copied = copy(file, from.open(file), progress);
        originals.put(file, from.manifest().file(file).orElseThrow());
        return copied;
    }

    /** Adds a file as an attachment, under a name of its own. */
    public void attach(String name, Path source, Progress progress) throws IOException {
        Posix posix = directory.descriptor().posix();
        String file = SnapshotFiles.attachment(name);
        // Nonblocking, so that a pipe in place of a file is refused at once.
        int flags = posix.constants().O_RDONLY | posix.constants().O_NONBLOCK;
        try (Descriptor open = Descriptor.open(posix, source, flags, 0)) {
            copy(file, open, progress);
        }
    }

    /**
     * Gives the snapshot, at publication, a copy of the present working set of the snapshot that it comes from. The set
     * is a hint: if there is none, or an unusable one, the new snapshot has none.
     */
    public synchronized void takeWorkingSetOf(StoredSnapshot from) {
        requireStaged();
        try {
            keep(LatestWorkingSet.of(from));
        } catch (IOException unusable) {
            LOG.log(System.Logger.Level.WARNING,
                    from + ": its working set is not copied to " + id + ": " + unusable.getMessage());
        }
    }

    /** As {@link #takeWorkingSetOf(StoredSnapshot)}, if that publication is still in the store. */
    public void takeWorkingSetOf(SnapshotReference from) {
        try (StoredSnapshot held = StoredSnapshot.hold(store, from.id())) {
            if (held.reference().equals(from)) {
                takeWorkingSetOf(held);
            }
        } catch (IOException gone) {
            LOG.log(System.Logger.Level.DEBUG, from + ": its working set is not copied to " + id, gone);
        }
    }

    private void keep(LatestWorkingSet latest) throws IOException {
        Optional<LatestWorkingSet> before = workingSet;
        workingSet = Optional.of(latest);
        if (before.isPresent()) {
            before.get().close();
        }
    }

    /** Writes the working set. A failure costs the hint but not the snapshot. */
    private void writeWorkingSet(StoredManifest manifest) throws IOException {
        Descriptor into = directory.descriptor();
        into.removeAt(SnapshotFiles.WORKING_SET);
        if (workingSet.isEmpty()) {
            return;
        }
        Optional<WorkingSetMap> copied = workingSet.get().map().filter(map -> map.layout().equals(manifest.layout()));
        if (copied.isEmpty()) {
            return;
        }
        Constants constants = into.posix().constants();
        int flags = constants.O_RDWR | constants.O_CREAT | constants.O_EXCL;
        try (Descriptor file = into.openAt(SnapshotFiles.WORKING_SET, flags, PRIVATE);
                WorkingSetMap map = WorkingSetMap.create(file, manifest.layout(), manifest.uuid())) {
            map.copy(copied.get());
            map.finish();
            store.seal(file);
            file.sync();
        } catch (IOException failure) {
            into.removeAt(SnapshotFiles.WORKING_SET);
            LOG.log(System.Logger.Level.WARNING, id + ": its working set could not be written: "
                    + failure.getMessage());
        }
    }

    /** Returns a file that was made before, open for reading and writing. */
    public synchronized Descriptor file(String file) {
        requireOpen();
        Descriptor found = files.get(file);
        if (found == null) {
            throw new IllegalArgumentException(id + " has no staged file " + Printable.of(file));
        }
        return found;
    }

    /** Makes an unfinished image this snapshot's own, by one rename. It stays open until this is closed. */
    public synchronized void adopt(PartialImage image) throws IOException {
        requireNew(SnapshotFiles.MEMORY);
        files.put(SnapshotFiles.MEMORY, image.moveTo(directory.descriptor(), SnapshotFiles.MEMORY));
    }

    /** As {@link #publish(SnapshotDescription, IfExists)}, refusing an id that is taken. */
    public StoredManifest publish(SnapshotDescription description) throws IOException {
        return publish(description, IfExists.REFUSE);
    }

    /**
     * Makes everything durable, and then visible atomically: when this returns, the snapshot survives a power failure;
     * when it throws, the store has no part of it, and unless a sync failed the caller may retry.
     *
     * @throws FileAlreadyExistsException if the id is taken
     * @throws SnapshotRequiredException if the one to be replaced is another's base
     * @throws BusyException if the one to be replaced is in use
     * @throws MissingBaseException if the base it requires is gone
     */
    public synchronized StoredManifest publish(SnapshotDescription description, IfExists ifExists) throws IOException {
        requireStaged();
        return publish(new StoredManifest(id, UUID.randomUUID(), Publication.now(), description, describe(description)),
                ifExists);
    }

    /**
     * Atomically replaces a snapshot that the caller keeps held, as the same publication: with its id, uuid, time and
     * index root. Other snapshots that require it keep their base. Users of the old files, the caller included, keep
     * them; the first recovery after that removes them.
     *
     * @param description the same but for how the image is stored: it no longer needs a base
     * @throws java.nio.file.NoSuchFileException if it was deleted or replaced meanwhile
     */
    public synchronized StoredManifest publishInPlaceOf(StoredSnapshot held, SnapshotDescription description)
            throws IOException {
        requireStaged();
        if (!held.id().equals(id) || description.base().isPresent()) {
            throw new IllegalArgumentException(id + " can replace only " + id + ", and only without a base; it cannot"
                    + " replace " + held + " with " + description.base());
        }
        StoredManifest manifest = new StoredManifest(id, held.manifest().uuid(), held.manifest().created(), description,
                describe(description));
        if (manifest.indexRoot() != held.manifest().indexRoot()) {
            throw new DamagedException(directory.descriptor() + " is not the same guest as " + held + ": its index"
                    + " root is "
                    + String.format("%08x", manifest.indexRoot()));
        }
        seal(manifest);
        Publication.exchange(store, directory, held, manifest);
        published = true;
        return manifest;
    }

    /**
     * Publishes under the uuid and time of a publication made elsewhere, as {@link #publish(SnapshotDescription)}
     * does.
     *
     * @throws DamagedException if the staged files are not the ones that the manifest lists
     */
    public synchronized StoredManifest publishAsMadeElsewhere(StoredManifest manifest) throws IOException {
        requireStaged();
        List<SnapshotFile> arrived = describe(manifest.description()).stream()
                .sorted(Comparator.comparing(SnapshotFile::name)).toList();
        if (!arrived.equals(manifest.files())) {
            throw new DamagedException(manifest.reference() + " did not arrive complete: its files are " + arrived
                    + ", but its manifest says " + manifest.files());
        }
        return publish(manifest, IfExists.REFUSE);
    }

    private StoredManifest publish(StoredManifest manifest, IfExists ifExists) throws IOException {
        requireStaged();
        seal(manifest);
        Publication.publish(store, directory, manifest, ifExists);
        published = true;
        return manifest;
    }

    /** Makes everything durable, the manifest last, but not yet visible. */
    private void seal(StoredManifest manifest) throws IOException {
        for (Descriptor file : files.values()) {
            store.seal(file);
            file.sync();
        }
        if (attachments != null) {
            store.sealDirectory(attachments);
            attachments.sync();
        }
        writeWorkingSet(manifest);
        Descriptor into = directory.descriptor();
        into.removeAt(SnapshotFiles.MANIFEST);
        byte[] json = manifest.toJson();
        if (json.length > StoredManifest.LARGEST_BYTES) {
            throw new SnapshotException("the manifest of " + id + " would have " + json.length + " bytes; "
                    + StoredManifest.LARGEST_BYTES
                    + " are allowed: give it fewer or shorter labels, or fewer attachments");
        }
        store.writeFile(into, SnapshotFiles.MANIFEST, json);
        store.sealDirectory(into);
        into.sync();
    }

    /** Returns the manifest's entries for the files as they are now. */
    List<SnapshotFile> describe(SnapshotDescription description) throws IOException {
        List<SnapshotFile> described = new ArrayList<>();
        long length = requireFile(SnapshotFiles.MEMORY).sizeBytes();
        if (length != description.layout().lengthBytes()) {
            throw new SnapshotException(file(SnapshotFiles.MEMORY) + " has " + length + " bytes, but its regions have "
                    + description.layout().lengthBytes());
        }
        Descriptor index = requireFile(SnapshotFiles.PAGE_INDEX);
        int root = PageIndex.rootOf(index, description.layout());
        described.add(SnapshotFile.withRoot(SnapshotFiles.MEMORY, length, root));
        described.add(SnapshotFile.withRoot(SnapshotFiles.PAGE_INDEX, index.sizeBytes(), root));
        if (description.base().isPresent()) {
            Descriptor map = requireFile(SnapshotFiles.PAGE_MAP);
            described.add(SnapshotFile.withRoot(SnapshotFiles.PAGE_MAP, map.sizeBytes(),
                    PageMap.rootOf(map, description.layout())));
        }
        for (Map.Entry<String, Descriptor> file : files.entrySet()) {
            if (file.getKey().equals(SnapshotFiles.MACHINE) || SnapshotFiles.isAttachment(file.getKey())) {
                described.add(Digests.ofBytes(file.getKey(), file.getValue()));
            } else if (file.getKey().equals(SnapshotFiles.PAGE_MAP) && description.base().isEmpty()) {
                throw new SnapshotException(file.getValue() + " was staged, but the snapshot has no base");
            }
        }
        for (SnapshotFile file : described) {
            SnapshotFile original = originals.getOrDefault(file.name(), file);
            if (!file.equals(original)) {
                throw new DamagedException(this.file(file.name()) + " was copied and is " + file + ", but the"
                        + " original's manifest says " + original + "; the original is damaged: use another snapshot");
            }
        }
        return described;
    }

    /** Closes every file, and removes the snapshot if it was not published. A second call does nothing. */
    @Override
    public synchronized void close() throws IOException {
        if (closed) {
            return;
        }
        closed = true;
        Closing closing = new Closing();
        closing.add(directory);
        workingSet.ifPresent(closing::add);
        if (attachments != null) {
            closing.add(attachments);
        }
        files.values().forEach(closing::add);
        if (published) {
            closing.closeQuietly(LOG);
        } else {
            closing.close();
        }
    }

    private Descriptor add(String file, int flags) throws IOException {
        requireNew(file);
        Constants constants = directory.descriptor().posix().constants();
        Descriptor made = parent(file).openAt(leaf(file), constants.O_RDWR | flags, PRIVATE);
        files.put(file, made);
        return made;
    }

    private void requireNew(String file) {
        requireStaged();
        if (SnapshotFiles.isAttachment(file)) {
            SnapshotFiles.attachment(file.substring(SnapshotFiles.ATTACHMENT_PREFIX.length()));
        } else if (!SnapshotFiles.FIXED.contains(file)) {
            throw new IllegalArgumentException("'" + Printable.of(file) + "' is not a file of a snapshot; the files"
                    + " are "
                    + SnapshotFiles.FIXED + " and " + SnapshotFiles.ATTACHMENT_PREFIX + "<name>");
        }
        String key = file.toLowerCase(Locale.ROOT);
        if (files.keySet().stream().anyMatch(taken -> taken.toLowerCase(Locale.ROOT).equals(key))) {
            throw new IllegalStateException(id + " has " + file + " already");
        }
    }

    private Descriptor parent(String file) throws IOException {
        if (!SnapshotFiles.isAttachment(file)) {
            return directory.descriptor();
        }
        if (attachments == null) {
            directory.descriptor().makeDirectoryAt(SnapshotFiles.ATTACHMENTS, 0700);
            attachments = StagingArea.openDirectory(directory.descriptor(), SnapshotFiles.ATTACHMENTS);
        }
        return attachments;
    }

    private static String leaf(String file) {
        return file.substring(file.lastIndexOf('/') + 1);
    }

    private Descriptor requireFile(String file) throws SnapshotException {
        Descriptor found = files.get(file);
        if (found == null) {
            throw new SnapshotException(id + " cannot be published without " + file);
        }
        return found;
    }

    /**
     * Throws once the snapshot has left the staging area: it then belongs to the store, even if publication failed
     * later.
     */
    private void requireStaged() {
        requireOpen();
        if (directory.isGone()) {
            throw new IllegalStateException(id + " is published");
        }
    }

    private void requireOpen() {
        if (closed) {
            throw new IllegalStateException(id + " is no longer staged");
        }
    }
}
