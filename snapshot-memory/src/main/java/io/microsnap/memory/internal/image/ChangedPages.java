package io.microsnap.memory.internal.image;

import io.microsnap.core.internal.file.Mapping;
import io.microsnap.core.internal.file.PageScratch;
import io.microsnap.core.internal.file.Pages;
import io.microsnap.dirty.DirtyBitmap;
import java.io.IOException;
import java.lang.foreign.MemorySegment;

/**
 * Names the pages of a lazily mapped image that were written. The kernel knows this for mapped pages. Pages that were
 * read in look written from the beginning, so they are compared with the image until they differ once.
 *
 * <p>A page that differed once is named for ever: a later snapshot may hold its content of that time, and compared with
 * that the image's bytes are a change.
 */
public final class ChangedPages {
    private final ComposedImage image;
    private final Mapping mapping;
    private final DirtyBitmap readIn;
    private final long pageBytes;

    ChangedPages(ComposedImage image, Mapping mapping, DirtyBitmap readIn) {
        this.image = image;
        this.mapping = mapping;
        this.readIn = readIn;
        pageBytes = image.layout().pageBytes();
    }

    /** Adds all pages written since the image was mapped. If this fails, some are missing. */
    public void addTo(DirtyBitmap written) throws IOException {
        if (readIn.isEmpty()) {
            mapping.written(0, mapping.lengthBytes(), written::mark);
            return;
        }
        try (PageScratch scratch = new PageScratch()) {
            mapping.written(0, mapping.lengthBytes(),
                    (offset, lengthBytes) -> add(offset, lengthBytes, written, scratch));
        }
    }

    /** From now on names all pages that were read in, too: an image may not hold their earlier content. */
    public void compareNoMore() {
        readIn.release();
    }

    private void add(long offset, long lengthBytes, DirtyBitmap written, PageScratch scratch) throws IOException {
        long[] done = {offset};
        readIn.runs(offset, lengthBytes, (at, length) -> {
            written.mark(done[0], at - done[0]);
            compare(at, length, written, scratch);
            done[0] = at + length;
        });
        written.mark(done[0], offset + lengthBytes - done[0]);
    }

    private void compare(long offset, long lengthBytes, DirtyBitmap written, PageScratch scratch)
            throws IOException {
        for (long done = 0; done < lengthBytes;) {
            MemorySegment expected = scratch.buffer().asSlice(
                    0, Math.min(scratch.capacityBytes(), lengthBytes - done));
            image.read(offset + done, expected);
            compare(offset + done, expected, written);
            done += expected.byteSize();
        }
    }

    private void compare(long offset, MemorySegment expected, DirtyBitmap written) {
        long end = offset + expected.byteSize();
        for (long at = offset; at < end;) {
            long page = at - at % pageBytes;
            long next = Math.min(end, page + pageBytes);
            if (!Pages.equal(mapping.segment(), at, expected, at - offset, next - at)) {
                written.mark(at, next - at);
                readIn.clear(page, Math.min(pageBytes, mapping.lengthBytes() - page));
            }
            at = next;
        }
    }
}
