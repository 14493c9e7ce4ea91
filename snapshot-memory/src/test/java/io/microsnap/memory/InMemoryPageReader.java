package io.microsnap.memory;

import io.microsnap.core.GuestLayout;
import io.microsnap.core.PageReader;
import java.lang.foreign.Arena;
import java.lang.foreign.MemorySegment;

/**
 * Guest memory that is nothing but bytes of this process: for tests of code that builds on captures. It starts as
 * zeros and lives as long as somebody holds it or its {@link #bytes()}.
 */
public final class InMemoryPageReader implements PageReader {
    private final GuestLayout layout;
    private final MemorySegment bytes;

    private InMemoryPageReader(GuestLayout layout, MemorySegment bytes) {
        this.layout = layout;
        this.bytes = bytes;
    }

    /** Zeros, as many as the layout has bytes. */
    public static InMemoryPageReader of(GuestLayout layout) {
        return new InMemoryPageReader(layout, Arena.ofAuto().allocate(layout.lengthBytes(), layout.pageBytes()));
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
        return bytes.asSlice(imageOffset, lengthBytes);
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
