package io.microsnap.memory;

import io.microsnap.core.GuestLayout;
import io.microsnap.core.PageReader;
import io.microsnap.core.RangeConsumer;
import java.io.IOException;
import java.lang.foreign.MemorySegment;
import java.util.BitSet;

/** Of a guest's pages only some were ever populated; reading another one is a failure of the test. */
public final class SparseReader implements PageReader {
    private final PageReader guest;
    private final BitSet populated;
    private final boolean hasView;

    public SparseReader(PageReader guest, BitSet populatedPages, boolean hasView) {
        this.guest = guest;
        populated = populatedPages;
        this.hasView = hasView;
    }

    @Override
    public GuestLayout layout() {
        return guest.layout();
    }

    @Override
    public MemorySegment view(long imageOffset, long lengthBytes) {
        return hasView ? guest.view(imageOffset, lengthBytes) : MemorySegment.NULL;
    }

    @Override
    public void read(long imageOffset, MemorySegment destination) throws IOException {
        int pageBytes = layout().pageBytes();
        for (long at = imageOffset; at < imageOffset + destination.byteSize(); at += pageBytes) {
            if (!populated.get((int) (at / pageBytes))) {
                throw new AssertionError("page " + at / pageBytes + " was never populated, but was read");
            }
        }
        guest.read(imageOffset, destination);
    }

    @Override
    public void populated(long imageOffset, long lengthBytes, RangeConsumer ranges) throws IOException {
        int pageBytes = layout().pageBytes();
        int last = (int) Math.ceilDiv(imageOffset + lengthBytes, (long) pageBytes);
        int page = populated.nextSetBit((int) (imageOffset / pageBytes));
        while (page >= 0 && page < last) {
            int end = Math.min(last, populated.nextClearBit(page));
            long from = Math.max(imageOffset, (long) page * pageBytes);
            ranges.accept(from, Math.min(imageOffset + lengthBytes, (long) end * pageBytes) - from);
            page = populated.nextSetBit(end);
        }
    }

    @Override
    public boolean mayBeTruncated() {
        return false;
    }
}
