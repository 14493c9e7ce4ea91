package io.microsnap.memory.internal.reader;

import io.microsnap.core.GuestLayout;
import io.microsnap.core.PageReader;
import io.microsnap.core.RangeConsumer;
import io.microsnap.core.SnapshotException;
import io.microsnap.core.internal.file.DataRanges;
import io.microsnap.core.internal.file.StorageFile;
import io.microsnap.core.internal.file.Truncation;
import io.microsnap.core.internal.posix.Descriptor;
import java.io.IOException;
import java.lang.foreign.MemorySegment;
import java.util.Optional;

/**
 * Guest memory that is a file: the RAM file or memfd of a VMM in another process, a memory file that another VMM
 * wrote. The file's offsets are image offsets. The descriptor's owner closes it.
 */
public final class FileMemoryReader implements PageReader {
    private final Descriptor file;
    private final GuestLayout layout;
    private final Optional<StorageFile> storage;
    private final DataRanges data;

    private FileMemoryReader(Descriptor file, GuestLayout layout, Optional<StorageFile> storage) {
        this.file = file;
        this.layout = layout;
        this.storage = storage;
        data = new DataRanges(file);
    }

    /**
     * Makes a reader of a file, or of the start of a block device, in its I/O mode. A file must be exactly as long as
     * the layout.
     */
    public static FileMemoryReader of(StorageFile storage, GuestLayout layout) throws IOException {
        if (!storage.isDevice() || storage.sizeBytes() < layout.lengthBytes()) {
            requireLength(storage.toString(), storage.sizeBytes(), layout);
        }
        return new FileMemoryReader(storage.descriptor(), layout, Optional.of(storage));
    }

    /** Makes a reader of a file. Throws if the file is not exactly as long as the layout. */
    public static FileMemoryReader of(Descriptor file, GuestLayout layout) throws IOException {
        requireLength(file.name(), file.sizeBytes(), layout);
        return new FileMemoryReader(file, layout, Optional.empty());
    }

    private static void requireLength(String name, long sizeBytes, GuestLayout layout) throws SnapshotException {
        if (sizeBytes != layout.lengthBytes()) {
            throw new SnapshotException(name + " has " + sizeBytes + " bytes, but the guest's regions have "
                    + layout.lengthBytes() + " together; name the regions as the VMM laid them out");
        }
    }

    @Override
    public GuestLayout layout() {
        return layout;
    }

    @Override
    public void read(long imageOffset, MemorySegment destination) throws IOException {
        if (storage.isPresent()) {
            storage.get().read(destination, imageOffset);
        } else {
            file.readFully(destination, imageOffset);
        }
    }

    @Override
    public void populated(long imageOffset, long lengthBytes, RangeConsumer ranges) throws IOException {
        long sizeBytes = StorageFile.sizeOf(file);
        if (sizeBytes < layout.lengthBytes()) {
            throw Truncation.found(layout.lengthBytes() - imageOffset,
                    file + ", which has " + sizeBytes + " bytes by now", imageOffset, null);
        }
        data.within(imageOffset, lengthBytes, ranges);
    }
}
