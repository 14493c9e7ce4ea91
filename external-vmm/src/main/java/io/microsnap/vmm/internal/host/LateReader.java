package io.microsnap.vmm.internal.host;

import io.microsnap.core.GuestLayout;
import io.microsnap.core.PageReader;
import io.microsnap.core.RangeConsumer;
import java.io.IOException;
import java.lang.foreign.MemorySegment;

/** Guest memory that a VMM writes to a file during the pause: the layout is known before, the file comes later. */
public final class LateReader implements PageReader {
    private final GuestLayout layout;
    private volatile PageReader dump;

    /** Makes a reader for memory of this layout. */
    public LateReader(GuestLayout layout) {
        this.layout = layout;
    }

    /** Reads memory through this reader from now on; it must have the same layout. */
    public void dumped(PageReader reader) {
        if (!reader.layout().equals(layout)) {
            throw new IllegalArgumentException("the dump has " + reader.layout() + ", not " + layout);
        }
        dump = reader;
    }

    private PageReader dump() {
        if (dump == null) {
            throw new IllegalStateException("the VMM has not written its memory yet: save its state first");
        }
        return dump;
    }

    @Override
    public GuestLayout layout() {
        return layout;
    }

    @Override
    public void read(long imageOffset, MemorySegment destination) throws IOException {
        dump().read(imageOffset, destination);
    }

    @Override
    public void populated(long imageOffset, long lengthBytes, RangeConsumer ranges) throws IOException {
        dump().populated(imageOffset, lengthBytes, ranges);
    }
}
