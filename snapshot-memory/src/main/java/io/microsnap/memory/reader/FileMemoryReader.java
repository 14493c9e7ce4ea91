package io.microsnap.memory.reader;

import io.microsnap.core.GuestLayout;
import io.microsnap.core.PageReader;
import io.microsnap.core.RangeConsumer;
import io.microsnap.core.SnapshotException;
import io.microsnap.core.file.PopulatedRanges;
import io.microsnap.core.posix.Descriptor;
import java.io.IOException;
import java.lang.foreign.MemorySegment;

/**
 * Guest memory that is a file: the RAM file or memfd of a VMM in another process, a memory file that another VMM
 * wrote. The file's offsets are image offsets. The descriptor stays its owner's.
 */
public final class FileMemoryReader implements PageReader {
    private final Descriptor file;
    private final GuestLayout layout;

    private FileMemoryReader(Descriptor file, GuestLayout layout) {
        this.file = file;
        this.layout = layout;
    }

    /** Refuses a file that is not exactly as long as the layout. */
    public static FileMemoryReader of(Descriptor file, GuestLayout layout) throws IOException {
        long sizeBytes = file.sizeBytes();
        if (sizeBytes != layout.lengthBytes()) {
            throw new SnapshotException(file + " has " + sizeBytes + " bytes, but the guest's regions have "
                    + layout.lengthBytes() + " together; name the regions as the VMM laid them out");
        }
        return new FileMemoryReader(file, layout);
    }

    @Override
    public GuestLayout layout() {
        return layout;
    }

    @Override
    public void read(long imageOffset, MemorySegment destination) throws IOException {
        file.readFully(destination, imageOffset);
    }

    @Override
    public void populated(long imageOffset, long lengthBytes, RangeConsumer ranges) throws IOException {
        PopulatedRanges.ofFile(file, imageOffset, lengthBytes, ranges);
    }
}
