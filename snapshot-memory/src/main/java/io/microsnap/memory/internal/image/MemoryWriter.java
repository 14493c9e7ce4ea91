package io.microsnap.memory.internal.image;

import io.microsnap.core.GuestLayout;
import io.microsnap.core.PageReader;
import io.microsnap.core.internal.file.Durability;
import io.microsnap.core.internal.file.StagedFile;
import io.microsnap.core.internal.posix.Posix;
import io.microsnap.dirty.DirtyBitmap;
import io.microsnap.memory.MemoryWritten;
import java.io.IOException;
import java.nio.file.Path;

/**
 * Writes a guest's memory to a plain file, without a store: what Firecracker, Cloud Hypervisor and QEMU read. The file
 * appears under its name when it is committed, in place of an earlier one, or not at all.
 *
 * <p>In a file of dirty pages every dirty page is data, zeros too, and every other page is a hole: without a page map
 * nothing else tells them apart. Some tools turn zeros into holes when they copy a file; keep the bitmap where they may
 * be used. The bitmap is only read: clear it once the file is committed.
 *
 * <p>A writer writes once, and commits once, what it wrote whole; anything else is an {@link IllegalStateException}.
 */
public final class MemoryWriter implements AutoCloseable {
    private final StagedFile staged;
    private final GuestLayout layout;
    private final Zeros zeros;
    private State state = State.EMPTY;
    private int threads = 1;

    private enum State { EMPTY, UNFINISHED, WRITTEN, COMMITTED }

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
        } catch (Throwable failure) {
            try (staged) {
                throw failure;
            }
        }
    }

    /** Returns the most threads a writing may use, the calling one included; one unless told. */
    public MemoryWriter threads(int most) {
        threads = most;
        return this;
    }

    /** Writes every page that was ever populated. */
    public MemoryWritten writeFull(PageReader reader) throws IOException {
        begin();
        return ended(writer(zeros).everything(reader));
    }

    /** Writes the dirty pages at their places, zeros as data whatever was asked; the rest stays a hole. */
    public MemoryWritten writeDiff(PageReader reader, DirtyBitmap dirty) throws IOException {
        begin();
        return ended(writer(Zeros.DENSE).dirty(reader, dirty));
    }

    /** Makes the file as durable as asked and visible. Until then, and when this fails, an earlier file stays. */
    public void commit(Durability durability) throws IOException {
        switch (state) {
            case WRITTEN -> { }
            case EMPTY -> throw new IllegalStateException("nothing was written that could be committed");
            case UNFINISHED -> throw new IllegalStateException("the writing failed, and cannot be committed");
            case COMMITTED -> throw new IllegalStateException("the file is committed already");
        }
        staged.commit(durability);
        state = State.COMMITTED;
    }

    /** What an earlier writing left would show where a later one writes nothing. */
    private void begin() {
        if (state != State.EMPTY) {
            throw new IllegalStateException("a memory writer writes once; make another one");
        }
        state = State.UNFINISHED;
    }

    private MemoryWritten ended(MemoryWritten written) {
        state = State.WRITTEN;
        return written;
    }

    /** Removes what was not committed. */
    @Override
    public void close() throws IOException {
        staged.close();
    }

    private ImageWriter writer(Zeros handling) {
        return ImageWriter.into(staged.descriptor(), layout).zeros(handling).threads(threads).startingAsZeros();
    }
}
