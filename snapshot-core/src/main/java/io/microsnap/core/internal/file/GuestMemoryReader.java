package io.microsnap.core.internal.file;

import io.microsnap.core.GuestLayout;
import io.microsnap.core.GuestMemory;
import io.microsnap.core.PageReader;
import io.microsnap.core.RangeConsumer;
import java.io.IOException;
import java.lang.foreign.MemorySegment;

/** Reads guest memory that is mapped in this process, by direct view. The memory's owner closes it. */
public final class GuestMemoryReader implements PageReader {
    private final GuestMemory memory;
    private final GuestLayout layout;

    public GuestMemoryReader(GuestMemory memory) {
        this.memory = memory;
        layout = memory.layout();
    }

    @Override
    public GuestLayout layout() {
        return layout;
    }

    @Override
    public MemorySegment view(long imageOffset, long lengthBytes) {
        int region = layout.regionAt(imageOffset);
        MemorySegment mapping = memory.mapping(region);
        long start = imageOffset - layout.imageOffset(region);
        return mapping.asSlice(start, Math.min(lengthBytes, mapping.byteSize() - start));
    }

    @Override
    public void read(long imageOffset, MemorySegment destination) throws IOException {
        long done = 0;
        while (done < destination.byteSize()) {
            MemorySegment piece = view(imageOffset + done, destination.byteSize() - done);
            Truncation.copy(piece, 0, destination, done, piece.byteSize(), "guest memory", imageOffset + done);
            done += piece.byteSize();
        }
    }

    @Override
    public void populated(long imageOffset, long lengthBytes, RangeConsumer ranges) throws IOException {
        memory.populated(imageOffset, lengthBytes, ranges);
    }

    @Override
    public void requireMapped() throws IOException {
        memory.requireMapped();
    }

    @Override
    public boolean mayBeTruncated() {
        return memory.mayBeTruncated();
    }
}
