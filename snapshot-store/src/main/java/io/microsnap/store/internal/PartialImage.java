package io.microsnap.store.internal;

import io.microsnap.core.SnapshotException;
import io.microsnap.core.internal.posix.Constants;
import io.microsnap.core.internal.posix.Descriptor;
import io.microsnap.core.internal.posix.Stat;
import io.microsnap.store.Recovered;
import java.io.IOException;
import java.nio.file.FileAlreadyExistsException;
import java.nio.file.NoSuchFileException;
import java.util.Optional;
import java.util.regex.Pattern;

/**
 * An image that is being fetched, in the store's {@code .partial}. Unlike a staged file it stays when its process ends,
 * so that the next attempt continues with it. Its owner locks it. It is not part of a snapshot until {@link
 * StagedSnapshot#adopt} takes it.
 */
public final class PartialImage implements AutoCloseable {
    static final String AREA = ".partial";

    private static final String SUFFIX = ".img";
    private static final Pattern NAME = Pattern.compile("[0-9a-f]{64}");
    private static final int PRIVATE = 0600;
    private static final int ATTEMPTS = 100;

    private final Descriptor area;
    private final String name;
    private final Descriptor file;
    private boolean moved;

    private PartialImage(Descriptor area, String name, Descriptor file) {
        this.area = area;
        this.name = name;
        this.file = file;
    }

    static PartialImage open(StoreDirectory store, String name) throws IOException {
        if (!NAME.matcher(name).matches()) {
            throw new IllegalArgumentException("'" + Printable.of(name) + "' cannot name an unfinished image");
        }
        Descriptor area = openArea(store);
        try {
            return open(area, name + SUFFIX);
        } catch (Throwable failure) {
            try (area) {
                throw failure;
            }
        }
    }

    private static Descriptor openArea(StoreDirectory store) throws IOException {
        try {
            store.root().makeDirectoryAt(AREA, store.options().directoryMode());
        } catch (FileAlreadyExistsException e) {
            // The image comes from an earlier pull.
        }
        return StagingArea.openDirectory(store.root(), AREA);
    }

    private static PartialImage open(Descriptor area, String name) throws IOException {
        Constants constants = area.posix().constants();
        for (int attempt = 0; attempt < ATTEMPTS; attempt++) {
            Descriptor file =
                    area.openAt(name, constants.O_RDWR | constants.O_CREAT | constants.O_NONBLOCK, PRIVATE);
            boolean kept = false;
            try {
                if (!file.status().isRegularFile()) {
                    throw new SnapshotException(file + " is not a plain file; remove it");
                }
                if (!file.tryLock(true)) {
                    throw new SnapshotException(file + " is locked: another process is fetching the same image; retry"
                            + " when it has finished");
                }
                // Between opening and locking, gc may have removed the image, or its owner may have finished it.
                kept = StagingArea.isNamed(area, name, file);
                if (kept) {
                    return new PartialImage(area, name, file);
                }
            } finally {
                if (!kept) {
                    file.close();
                }
            }
        }
        throw new SnapshotException(area + "/" + name + ": another program keeps removing it");
    }

    /** Removes the images that no process is working on. */
    static Recovered removeLeftovers(Descriptor root) throws IOException {
        int removed = 0;
        int alive = 0;
        long freedBytes = 0;
        if (root.statusAt(AREA).isEmpty()) {
            return Recovered.NOTHING;
        }
        try (Descriptor area = StagingArea.openDirectory(root, AREA)) {
            for (String name : area.names()) {
                Optional<Stat> status = area.statusAt(name);
                if (status.isEmpty() || !status.get().isRegularFile()) {
                    continue;
                }
                try (Descriptor file = area.openAt(name, area.posix().constants().O_RDONLY, 0)) {
                    if (!file.tryLock(true)) {
                        alive++;
                    } else if (StagingArea.isNamed(area, name, file) && area.removeAt(name)) {
                        removed++;
                        freedBytes += status.get().allocatedBytes();
                    }
                } catch (NoSuchFileException e) {
                    // Its owner has just finished it.
                }
            }
        }
        return new Recovered(removed, freedBytes, alive);
    }

    /** Returns the image, open for reading and writing. This object closes it, or the snapshot that adopted it. */
    public Descriptor descriptor() {
        return file;
    }

    Descriptor moveTo(Descriptor directory, String newName) throws IOException {
        area.renameAt(name, directory, newName, area.posix().constants().RENAME_NOREPLACE);
        moved = true;
        return file;
    }

    /** Removes the image, because its content is of no use. */
    public void remove() throws IOException {
        if (!moved) {
            area.removeAt(name);
        }
    }

    /** Unlocks and closes the image, which stays for the next attempt unless it was adopted or removed. */
    @Override
    public void close() throws IOException {
        try (area) {
            if (!moved) {
                file.close();
            }
        }
    }
}
