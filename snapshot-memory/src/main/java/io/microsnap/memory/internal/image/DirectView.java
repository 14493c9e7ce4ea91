package io.microsnap.memory.internal.image;

import io.microsnap.core.PageReader;
import java.lang.foreign.MemorySegment;

/** Guest memory that is read in place. It asks the reader once for each contiguous part. */
final class DirectView {
    private final PageReader reader;
    private final long imageBytes;
    private MemorySegment memory = MemorySegment.NULL;
    private long start;

    DirectView(PageReader reader) {
        this.reader = reader;
        imageBytes = reader.layout().lengthBytes();
    }

    /** Returns how far memory is contiguous from the image offset on. Call this before {@link #memory}. */
    long reach(long offset) {
        if (offset < start || offset >= start + memory.byteSize()) {
            memory = reader.view(offset, imageBytes - offset);
            start = offset;
        }
        return start + memory.byteSize() - offset;
    }

    /** Returns the memory around the offset of the last {@link #reach}. */
    MemorySegment memory() {
        return memory;
    }

    /** Returns the position of an image offset in that memory. */
    long at(long offset) {
        return offset - start;
    }
}
