package io.microsnap.memory.internal.image;

import io.microsnap.core.GuestLayout;
import io.microsnap.core.PageReader;
import io.microsnap.core.internal.file.Durability;
import io.microsnap.core.internal.file.StagedFile;
import io.microsnap.core.internal.posix.Posix;
import io.microsnap.dirty.DirtyBitmap;
import java.io.IOException;
import java.nio.file.Path;

/**
 * Writes a guest's memory to a plain file, without a store: what Firecracker, Cloud Hypervisor and QEMU read. The file
 * appears under its name when it is committed, in place of an earlier one, or not at all.
 *
 * <p>A file of dirty pages alone cannot say by itself which pages it holds: a dirty page of zeros looks like a clean
 * one. Keep the bitmap with it, or take a snapshot into a store, which keeps a page map. The bitmap is only read: clear
 * it once the file is committed.
 */
public final class MemoryWriter implements AutoCloseable {
    private final StagedFile staged;
    private final GuestLayout layout;
    private final Zeros zeros;
    private int lanes = 1;

    private MemoryWriter(StagedFile staged, GuestLayout layout, Zeros zeros) {
        this.staged = staged;
        this.layout = layout;
        this.zeros = zeros;
    }

    /** Begins a file that is to appear at this path, as long as the guest and of holes as yet. */
    public static MemoryWriter create(Posix posix, Path destination, GuestLayout layout, Zeros zeros)
            throws IOException {
        StagedFile staged = StagedFile.create(posix, destination);
        try {
            staged.descriptor().truncate(layout.lengthBytes());
            return new MemoryWriter(staged, layout, zeros);
        } catch (IOException | RuntimeException failure) {
            try (staged) {
                throw failure;
            }
        }
    }

    /** The most threads a writing may use, the calling one included; one unless told. */
    public MemoryWriter lanes(int most) {
        lanes = most;
        return this;
    }

    /** Writes every page that was ever populated. */
    public MemoryWritten writeFull(PageReader reader) throws IOException {
        return writer().everything(reader);
    }

    /** Writes the dirty pages at their places; the rest stays a hole. */
    public MemoryWritten writeDiff(PageReader reader, DirtyBitmap dirty) throws IOException {
        return writer().dirty(reader, dirty);
    }

    /** Makes the file as durable as asked and visible. Until then, and when this fails, an earlier file stays. */
    public void commit(Durability durability) throws IOException {
        staged.commit(durability);
    }

    /** Removes what was not committed. */
    @Override
    public void close() throws IOException {
        staged.close();
    }

    private ImageWriter writer() {
        return ImageWriter.into(staged.descriptor(), layout).zeros(zeros).lanes(lanes).startingAsZeros();
    }
}
