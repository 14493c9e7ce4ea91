package io.microsnap.vmm.internal.cloud;

import io.microsnap.core.GuestLayout;
import io.microsnap.core.PageReader;
import io.microsnap.core.RangeConsumer;
import io.microsnap.core.SnapshotException;
import io.microsnap.core.internal.file.Extents;
import io.microsnap.core.internal.posix.Descriptor;
import java.io.IOException;
import java.lang.foreign.MemorySegment;
import java.util.List;

/** Guest memory in a file {@code memory-ranges}, whatever the order of its ranges. The file's owner closes it. */
public final class RangesReader implements PageReader {
    private final Descriptor file;
    private final GuestLayout layout;
    private final List<MemoryRanges.Range> ranges;

    private RangesReader(Descriptor file, GuestLayout layout, List<MemoryRanges.Range> ranges) {
        this.file = file;
        this.layout = layout;
        this.ranges = ranges;
    }

    /** Makes a reader. Throws if the file is not as long as the table says. */
    public static RangesReader of(Descriptor file, MemoryRanges ranges, GuestLayout layout) throws IOException {
        long sizeBytes = file.sizeBytes();
        if (sizeBytes != ranges.lengthBytes()) {
            throw new SnapshotException(file + " has " + sizeBytes + " bytes, and its table says "
                    + ranges.lengthBytes() + "; the two do not belong together");
        }
        return new RangesReader(file, layout, ranges.inAddressOrder());
    }

    @Override
    public GuestLayout layout() {
        return layout;
    }

    @Override
    public void read(long imageOffset, MemorySegment destination) throws IOException {
        pieces(imageOffset, destination.byteSize(), (image, length, inFile) ->
                file.readFully(destination.asSlice(image - imageOffset, length), inFile));
    }

    @Override
    public void populated(long imageOffset, long lengthBytes, RangeConsumer populated) throws IOException {
        pieces(imageOffset, lengthBytes, (image, length, inFile) -> Extents.data(file, inFile, length,
                (offset, bytes) -> populated.accept(image + (offset - inFile), bytes)));
    }

    /** Takes a piece that is contiguous in the image and in the file. */
    interface Piece {
        void take(long imageOffset, long lengthBytes, long fileOffset) throws IOException;
    }

    private void pieces(long imageOffset, long lengthBytes, Piece piece) throws IOException {
        long end = imageOffset + lengthBytes;
        for (MemoryRanges.Range range : ranges) {
            long start = layout.imageOffsetOf(range.guestAddress());
            long from = Math.max(imageOffset, start);
            long to = Math.min(end, start + range.lengthBytes());
            if (from < to) {
                piece.take(from, to - from, range.fileOffset() + (from - start));
            }
        }
    }
}
