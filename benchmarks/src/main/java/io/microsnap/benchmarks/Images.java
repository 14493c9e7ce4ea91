package io.microsnap.benchmarks;

import io.microsnap.core.internal.file.Durability;
import io.microsnap.core.internal.file.Reflink;
import io.microsnap.core.internal.posix.Constants;
import io.microsnap.core.internal.posix.Descriptor;
import io.microsnap.core.internal.posix.Posix;
import io.microsnap.dirty.DirtyBitmap;
import java.io.IOException;
import java.lang.foreign.Arena;
import java.lang.foreign.MemorySegment;
import java.nio.file.Files;
import java.nio.file.Path;

/** The files that captures are written to, new for every run. */
final class Images implements AutoCloseable {
    private static final long COMPARED_BYTES = 1 << 20;

    private final Path directory;
    private Descriptor image;
    private Descriptor index;
    private Descriptor map;
    private boolean comparedWhole;

    Images(Path directory) {
        this.directory = directory;
    }

    /** Empty files; the image as long as asked and all hole. */
    void renew(long bytes) throws IOException {
        close();
        image = fresh("image");
        image.truncate(bytes);
        index = fresh("index");
        map = fresh("map");
    }

    /** Empty files; the image a clone of the base. */
    void renewFrom(Path base) throws IOException {
        close();
        Files.deleteIfExists(path());
        if (!new Reflink().clone(Posix.host(), base, path(), Durability.NONE).isCloned()) {
            throw new IOException(base + " cannot be cloned");
        }
        image = open(path(), constants().O_RDWR);
        index = fresh("index");
        map = fresh("map");
    }

    Path path() {
        return directory.resolve("image");
    }

    Descriptor image() {
        return image;
    }

    Descriptor index() {
        return index;
    }

    Descriptor map() {
        return map;
    }

    @Override
    public void close() throws IOException {
        for (Descriptor file : new Descriptor[] {image, index, map}) {
            if (file != null) {
                file.close();
            }
        }
        image = null;
    }

    private Descriptor fresh(String name) throws IOException {
        Path path = directory.resolve(name);
        Files.deleteIfExists(path);
        return open(path, constants().O_RDWR | constants().O_CREAT);
    }

    private static Descriptor open(Path path, int flags) throws IOException {
        return Descriptor.open(Posix.host(), path, flags, 0600);
    }

    private static Constants constants() {
        return Posix.host().constants();
    }

    /** Holds the image against the peer's, and removes both. */
    void requireSame(Path peers) throws IOException {
        requireNoMismatch(Files.mismatch(path(), peers), 0);
        remove(peers);
    }

    /**
     * As {@link #requireSame(Path)} the first time, and later holds only what was written against the peer's: what
     * reads two images of holes fills the page cache with zeros, and the next measurement pays for their removal.
     */
    void requireSame(Path peers, DirtyBitmap written) throws IOException {
        if (!comparedWhole) {
            comparedWhole = true;
            requireSame(peers);
            return;
        }
        try (Descriptor theirs = open(peers, constants().O_RDONLY); Arena arena = Arena.ofConfined()) {
            MemorySegment ourBytes = arena.allocate(COMPARED_BYTES);
            MemorySegment theirBytes = arena.allocate(COMPARED_BYTES);
            written.runs(0, (offset, lengthBytes) -> {
                for (long done = 0; done < lengthBytes; done += COMPARED_BYTES) {
                    long length = Math.min(COMPARED_BYTES, lengthBytes - done);
                    image.readFully(ourBytes.asSlice(0, length), offset + done);
                    theirs.readFully(theirBytes.asSlice(0, length), offset + done);
                    requireNoMismatch(
                            MemorySegment.mismatch(ourBytes, 0, length, theirBytes, 0, length), offset + done);
                }
            });
        }
        remove(peers);
    }

    private static void requireNoMismatch(long mismatch, long offset) throws IOException {
        if (mismatch >= 0) {
            throw new IOException("our image and the peer's differ from byte " + (offset + mismatch) + " on");
        }
    }

    void remove(Path peers) throws IOException {
        close();
        Files.delete(path());
        Files.delete(peers);
    }
}
