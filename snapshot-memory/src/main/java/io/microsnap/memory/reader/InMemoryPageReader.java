package io.microsnap.memory.reader;

import io.microsnap.core.GuestLayout;
import io.microsnap.core.PageReader;
import java.lang.foreign.Arena;
import java.lang.foreign.MemorySegment;

/**
 * Guest memory that is nothing but bytes of this process: for the tests of whoever builds on captures. It starts as
 * zeros and lives as long as somebody holds it or its {@link #bytes()}.
 */
public final class InMemoryPageReader implements PageReader {
    private final GuestLayout layout;
    private final MemorySegment bytes;
    private final boolean hasView;

    private InMemoryPageReader(GuestLayout layout, MemorySegment bytes, boolean hasView) {
        this.layout = layout;
        this.bytes = bytes;
        this.hasView = hasView;
    }

    /** Zeros, as many as the layout has bytes. */
    public static InMemoryPageReader of(GuestLayout layout) {
        return new InMemoryPageReader(layout, Arena.ofAuto().allocate(layout.lengthBytes(), layout.pageBytes()), true);
    }

    /** The same bytes behind a reader that gives no direct view, as a source that must be asked for each range does. */
    public InMemoryPageReader withoutView() {
        return new InMemoryPageReader(layout, bytes, false);
    }

    /** The guest's bytes by image offset, to be written between captures. */
    public MemorySegment bytes() {
        return bytes;
    }

    @Override
    public GuestLayout layout() {
        return layout;
    }

    @Override
    public MemorySegment view(long imageOffset, long lengthBytes) {
        return hasView ? bytes.asSlice(imageOffset, lengthBytes) : MemorySegment.NULL;
    }

    @Override
    public void read(long imageOffset, MemorySegment destination) {
        MemorySegment.copy(bytes, imageOffset, destination, 0, destination.byteSize());
    }

    @Override
    public boolean mayBeTruncated() {
        return false;
    }
}
