package io.microsnap.registry.internal.push;

import io.microsnap.core.internal.file.Pages;
import io.microsnap.registry.internal.format.Frame;
import io.microsnap.store.internal.PageIndex;
import io.microsnap.store.internal.PageMap;
import io.microsnap.store.internal.StoredSnapshot;
import java.io.IOException;
import java.lang.foreign.Arena;
import java.lang.foreign.MemorySegment;
import java.util.Optional;

/**
 * Finds the pages that an image has in common with a sibling's: those equal by both indexes, and then byte for byte.
 */
final class SiblingRule implements Donor.Rule, AutoCloseable {
    private final StoredSnapshot image;
    private final StoredSnapshot sibling;
    private final PageIndex index;
    private final PageIndex siblingIndex;
    private final Optional<PageMap> own;
    private final Arena arena = Arena.ofConfined();
    private final MemorySegment mine = arena.allocate(Frame.LARGEST_BYTES);
    private final MemorySegment others = arena.allocate(Frame.LARGEST_BYTES);

    SiblingRule(StoredSnapshot image, StoredSnapshot sibling, Optional<PageMap> own) throws IOException {
        this.image = image;
        this.sibling = sibling;
        this.own = own;
        index = image.pageIndex();
        siblingIndex = sibling.pageIndex();
    }

    @Override
    public long shared(Frame frame) throws IOException {
        long[] bits = new long[1];
        frame.<IOException>eachUsedRun((firstPage, inFrame, count) -> {
            int at = 0;
            while (at < count) {
                if (!isAlike(firstPage + at)) {
                    at++;
                    continue;
                }
                int end = at;
                while (end < count && isAlike(firstPage + end)) {
                    end++;
                }
                bits[0] |= equal(firstPage + at, end - at) << (inFrame + at);
                at = end;
            }
        });
        return bits[0];
    }

    private boolean isAlike(long page) throws IOException {
        return (own.isEmpty() || own.get().test(page)) && index.crc(page) == siblingIndex.crc(page);
    }

    /** Returns a bit for each page of a run that is the same in both images. */
    private long equal(long firstPage, int count) throws IOException {
        int pageBytes = index.layout().pageBytes();
        long offset = firstPage * pageBytes;
        long length = Math.min((long) count * pageBytes, index.layout().lengthBytes() - offset);
        image.image().readFully(mine.asSlice(0, length), offset);
        sibling.image().readFully(others.asSlice(0, length), offset);
        long bits = 0;
        for (int page = 0; page < count; page++) {
            long at = (long) page * pageBytes;
            if (Pages.equal(mine, at, others, at, Math.min(pageBytes, length - at))) {
                bits |= 1L << page;
            }
        }
        return bits;
    }

    @Override
    public void close() {
        arena.close();
    }
}
