package io.microsnap.registry.internal.push;

import io.microsnap.core.DamagedException;
import io.microsnap.core.GuestLayout;
import io.microsnap.core.internal.file.Extents;
import io.microsnap.core.internal.file.Pages;
import io.microsnap.registry.internal.format.PageSet;
import io.microsnap.store.internal.PageIndex;
import io.microsnap.store.internal.PageMap;
import io.microsnap.store.internal.StoredSnapshot;
import java.io.IOException;
import java.lang.foreign.Arena;
import java.lang.foreign.MemorySegment;
import java.util.Optional;

/**
 * Reads the pages of an image that the registry lacks: once, in long runs, checked against the index, without zeros.
 */
final class OwnPages {
    private static final long READ_BYTES = 1 << 20;

    private final StoredSnapshot held;
    private final GuestLayout layout;
    private final PageIndex index;
    private final Optional<PageMap> own;
    private final PageSet given;

    /** Takes one page after another, ascending. */
    @FunctionalInterface
    interface Sink {
        void accept(long page, MemorySegment memory, long offset, int lengthBytes) throws IOException;
    }

    /**
     * Makes a reader. Reads nothing yet.
     *
     * @param own the pages that the image holds; empty if it holds them all
     * @param given the pages that need not be read
     */
    OwnPages(StoredSnapshot held, Optional<PageMap> own, PageSet given) throws IOException {
        this.held = held;
        this.own = own;
        this.given = given;
        layout = held.layout();
        index = held.pageIndex();
    }

    void each(Sink sink) throws IOException {
        try (Arena arena = Arena.ofConfined()) {
            MemorySegment buffer = arena.allocate(READ_BYTES);
            long[] next = {0};
            Extents.data(held.image(), (offset, lengthBytes) -> {
                int pageBytes = layout.pageBytes();
                long first = Math.max(next[0], offset / pageBytes);
                long end = Math.ceilDiv(offset + lengthBytes, (long) pageBytes);
                requireZeros(next[0], first);
                read(first, end, buffer, sink);
                next[0] = Math.max(next[0], end);
            });
            requireZeros(next[0], layout.pageCount());
        }
    }

    /** Throws unless the pages of a hole are zero by the index, too: otherwise data was lost. */
    private void requireZeros(long first, long end) throws IOException {
        for (long page = first; page < end; page++) {
            if (isWanted(page) && !index.isZero(page)) {
                throw damaged(page);
            }
        }
    }

    private void read(long first, long end, MemorySegment buffer, Sink sink) throws IOException {
        long mostPages = READ_BYTES / layout.pageBytes();
        long page = first;
        while (page < end) {
            if (!isWanted(page)) {
                page++;
                continue;
            }
            long runEnd = page + 1;
            while (runEnd < end && runEnd - page < mostPages && isWanted(runEnd)) {
                runEnd++;
            }
            readRun(page, runEnd, buffer, sink);
            page = runEnd;
        }
    }

    private void readRun(long first, long end, MemorySegment buffer, Sink sink) throws IOException {
        int pageBytes = layout.pageBytes();
        long offset = first * pageBytes;
        long length = Math.min(end * pageBytes, layout.lengthBytes()) - offset;
        held.image().readFully(buffer.asSlice(0, length), offset);
        for (long page = first; page < end; page++) {
            long at = (page - first) * pageBytes;
            int bytes = (int) Math.min(pageBytes, length - at);
            if (index.crc(page) != Pages.crc32c(buffer, at, bytes)) {
                throw damaged(page);
            }
            if (!Pages.isZero(buffer, at, bytes)) {
                sink.accept(page, buffer, at, bytes);
            }
        }
    }

    private boolean isWanted(long page) throws IOException {
        return !given.has(page) && (own.isEmpty() || own.get().test(page));
    }

    private DamagedException damaged(long page) {
        return new DamagedException("snapshot " + held.reference() + " is damaged: page " + page + " at image offset "
                + page * layout.pageBytes() + " does not match its page index; no tag was set");
    }
}
