package io.microsnap.memory.internal.image;

import io.microsnap.core.PageReader;
import java.lang.foreign.MemorySegment;

/** Guest memory as a reader gives it to be read in place: asked for once for as far as it is contiguous. */
final class DirectView {
    private final PageReader reader;
    private final long imageBytes;
    private MemorySegment memory = MemorySegment.NULL;
    private long start;

    DirectView(PageReader reader) {
        this.reader = reader;
        imageBytes = reader.layout().lengthBytes();
    }

    /** How far memory is contiguous from the image offset on; to be asked before {@link #memory}. */
    long reach(long offset) {
        if (offset < start || offset >= start + memory.byteSize()) {
            memory = reader.view(offset, imageBytes - offset);
            start = offset;
        }
        return start + memory.byteSize() - offset;
    }

    /** The memory around the offset asked last. */
    MemorySegment memory() {
        return memory;
    }

    /** Where in that memory an image offset lies. */
    long at(long offset) {
        return offset - start;
    }
}
