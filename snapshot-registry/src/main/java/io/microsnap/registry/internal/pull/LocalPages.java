package io.microsnap.registry.internal.pull;

import io.microsnap.core.internal.file.Reflink;
import io.microsnap.core.internal.posix.Descriptor;
import io.microsnap.registry.internal.format.Digest;
import io.microsnap.registry.internal.format.Frame;
import io.microsnap.store.internal.PageIndex;
import io.microsnap.store.internal.StoredSnapshot;
import java.io.IOException;
import java.lang.foreign.Arena;
import java.lang.foreign.MemorySegment;
import java.security.MessageDigest;
import java.util.Arrays;

/**
 * A snapshot of the store as a source of pages: it has the pages of a frame if they have the frame's SHA-256. Use it
 * from one thread at a time.
 */
final class LocalPages implements AutoCloseable {
    private final StoredSnapshot held;
    private final PageIndex index;
    private final Arena arena = Arena.ofConfined();
    private final MemorySegment pages = arena.allocate(Frame.LARGEST_BYTES);
    private final MessageDigest sha256 = Digest.sha256();
    private final Reflink reflink = new Reflink();

    LocalPages(StoredSnapshot held) throws IOException {
        this.held = held;
        index = held.pageIndex();
    }

    /** Clones or copies the pages that an image takes of a frame; returns false if this snapshot does not have them. */
    boolean give(Frame frame, PageIndex wanted, Descriptor image) throws IOException {
        if (!isLikely(frame, wanted)) {
            return false;
        }
        int pageBytes = index.layout().pageBytes();
        int lengthBytes = frame.pagesBytes(index.layout());
        frame.<IOException>eachRun((firstPage, inFrame, count) -> read(firstPage, count,
                (long) inFrame * pageBytes, lengthBytes));
        sha256.update(pages.asSlice(0, lengthBytes).asByteBuffer());
        if (!Arrays.equals(sha256.digest(), frame.pagesDigest())) {
            return false;
        }
        frame.<IOException>eachUsedRun((firstPage, inFrame, count) -> {
            long at = (long) inFrame * pageBytes;
            long length = Math.min((long) count * pageBytes, lengthBytes - at);
            give(firstPage, count, pages.asSlice(at, length), image);
        });
        return true;
    }

    /** Returns whether the pages that the image takes have the right checksums in the index; reads no page. */
    private boolean isLikely(Frame frame, PageIndex wanted) throws IOException {
        boolean[] likely = {true};
        frame.<IOException>eachUsedRun((firstPage, inFrame, count) -> {
            for (long page = firstPage; page < firstPage + count && likely[0]; page++) {
                likely[0] = index.crc(page) == wanted.crc(page);
            }
        });
        return likely[0];
    }

    private void read(long firstPage, int count, long at, int lengthBytes) throws IOException {
        int pageBytes = index.layout().pageBytes();
        for (long page = firstPage; page < firstPage + count;) {
            StoredSnapshot layer = layer(page);
            long end = page + 1;
            while (end < firstPage + count && layer(end) == layer) {
                end++;
            }
            long from = at + (page - firstPage) * pageBytes;
            long length = Math.min((end - page) * pageBytes, lengthBytes - from);
            layer.image().readFully(pages.asSlice(from, length), page * pageBytes);
            page = end;
        }
    }

    /** Shares the blocks where the filesystem can, and writes the content where it cannot. */
    private void give(long firstPage, int count, MemorySegment content, Descriptor image) throws IOException {
        long offset = firstPage * index.layout().pageBytes();
        StoredSnapshot layer = layer(firstPage);
        boolean oneLayer = true;
        for (long page = firstPage + 1; page < firstPage + count; page++) {
            oneLayer &= layer(page) == layer;
        }
        if (!oneLayer || !reflink.cloneRange(layer.image(), offset, image, offset, content.byteSize()).isCloned()) {
            image.writeFully(content, offset);
        }
    }

    /** Returns the snapshot whose image holds a page: this one, or one of the bases it needs. */
    private StoredSnapshot layer(long page) throws IOException {
        StoredSnapshot layer = held;
        while (layer.base().isPresent() && !layer.pageMap().orElseThrow().test(page)) {
            layer = layer.base().get();
        }
        return layer;
    }

    @Override
    public void close() {
        try (arena) {
            held.close();
        }
    }
}
