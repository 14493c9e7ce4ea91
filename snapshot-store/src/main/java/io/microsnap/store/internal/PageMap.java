package io.microsnap.store.internal;

import io.microsnap.core.GuestLayout;
import io.microsnap.core.RangeConsumer;
import io.microsnap.core.internal.posix.Descriptor;
import java.io.Closeable;
import java.io.IOException;
import java.lang.invoke.VarHandle;
import java.util.Objects;

/**
 * Says which pages an image does not share with its base: marked pages are read from the image, the others from the
 * base. Holes in an image do not say this; only its page map does.
 *
 * <p>Marking is atomic: any number of threads may mark and test. {@link #finish} and {@code close} come after them. The
 * caller owns the descriptor and keeps it open longer than the map.
 */
public final class PageMap implements Closeable {
    private static final long PAGES_IN_CHUNK = (long) EntryTable.CHUNK_BYTES * Byte.SIZE;
    private static final long WORDS_IN_CHUNK = EntryTable.CHUNK_BYTES / Long.BYTES;
    private static final VarHandle WORD = EntryTable.LONG.varHandle();

    private final PageEntries entries;
    private final long pageCount;

    private PageMap(PageEntries entries) {
        this.entries = entries;
        pageCount = entries.table().layout().pageCount();
    }

    /** Makes, in an empty file, a map with no page marked. */
    public static PageMap create(Descriptor file, GuestLayout layout) throws IOException {
        return new PageMap(PageEntries.create(EntryTable.Form.MAP, layout, file));
    }

    /** Opens a map for reading. Throws {@code DamagedException} if the file is damaged or belongs to another layout. */
    public static PageMap open(Descriptor file, GuestLayout layout) throws IOException {
        return new PageMap(PageEntries.open(EntryTable.Form.MAP, layout, file));
    }

    static int rootOf(Descriptor file, GuestLayout layout) throws IOException {
        return PageEntries.rootOf(EntryTable.Form.MAP, layout, file);
    }

    public GuestLayout layout() {
        return entries.table().layout();
    }

    /** Returns whether the page is this image's own. */
    public boolean test(long page) throws IOException {
        Objects.checkIndex(page, pageCount);
        return ((word(page / Long.SIZE) >>> page) & 1) != 0;
    }

    /** Allocates the memory that marking these pages needs. Call it before the pause. */
    public void populate(long firstPage, long count) throws IOException {
        Objects.checkFromIndexSize(firstPage, count, pageCount);
        entries.populate(firstPage, count);
    }

    /** Marks a page. */
    public void mark(long page) throws IOException {
        mark(page, 1);
    }

    /** Marks a run of pages. */
    public void mark(long firstPage, long count) throws IOException {
        Objects.checkFromIndexSize(firstPage, count, pageCount);
        long end = firstPage + count;
        long page = firstPage;
        while (page < end) {
            long word = page / Long.SIZE;
            long wordEnd = Math.min(end, (word + 1) * Long.SIZE);
            long bits = (-1L >>> (Long.SIZE - (wordEnd - page))) << page;
            if ((word(word) & bits) != bits) {
                long ignored = (long) WORD.getAndBitwiseOr(entries.entries(), word * Long.BYTES, bits);
                entries.changed(page / PAGES_IN_CHUNK);
            }
            page = wordEnd;
        }
    }

    /** Returns how many pages are marked. */
    public long count() throws IOException {
        long count = 0;
        for (long page = nextMarked(0); page < pageCount;) {
            long end = nextClear(page);
            count += end - page;
            page = nextMarked(end);
        }
        return count;
    }

    /** Returns the first marked page at or after this one, or the page count. */
    public long nextMarked(long page) throws IOException {
        return next(page, pageCount, 0);
    }

    /** Returns the first marked page from this one up to an end, or that end; it does not look past the end. */
    public long nextMarked(long page, long endPage) throws IOException {
        return next(page, Math.min(endPage, pageCount), 0);
    }

    /** Returns the first page at or after this one that is not marked, or the page count. */
    public long nextClear(long page) throws IOException {
        return next(page, pageCount, -1);
    }

    /** Returns the first page from this one up to an end that is not marked, or that end. */
    public long nextClear(long page, long endPage) throws IOException {
        return next(page, Math.min(endPage, pageCount), -1);
    }

    /**
     * Names the marked pages as ranges of image offsets, each as long as possible, the last one clipped to the image.
     */
    public void runs(RangeConsumer ranges) throws IOException {
        int pageBytes = layout().pageBytes();
        long page = nextMarked(0);
        while (page < pageCount) {
            long end = nextClear(page);
            long offset = page * pageBytes;
            ranges.accept(offset, Math.min(end * pageBytes, layout().lengthBytes()) - offset);
            page = nextMarked(end);
        }
    }

    /** Reads and checks every entry that was not yet touched; a {@code DamagedException} names the place. */
    public void verify() throws IOException {
        entries.loadAll();
    }

    /** Returns the root of the whole map, as of the last {@link #finish}, or as it was read. */
    public int root() {
        return entries.table().root();
    }

    /** Writes the marks since the last call, and returns the new root. It syncs nothing: publication does that. */
    public int finish() throws IOException {
        return entries.finish();
    }

    /** Frees the map and discards marks made after the last {@link #finish}. */
    @Override
    public void close() throws IOException {
        entries.close();
    }

    private long next(long page, long endPage, long skipped) throws IOException {
        if (page >= endPage) {
            return endPage;
        }
        long word = Objects.checkIndex(page, pageCount) / Long.SIZE;
        long lastWord = (endPage - 1) / Long.SIZE;
        long found = (word(word) ^ skipped) & (-1L << page);
        while (found == 0 && word < lastWord) {
            word++;
            if (word % WORDS_IN_CHUNK == 0) {
                long chunk = word / WORDS_IN_CHUNK;
                entries.prepare(chunk);
                if (skipped == 0 && entries.isUntouchedZero(chunk)) {
                    word += WORDS_IN_CHUNK - 1;
                    continue;
                }
            }
            found = (long) WORD.getOpaque(entries.entries(), word * Long.BYTES) ^ skipped;
        }
        return found == 0 ? endPage : Math.min(endPage, word * Long.SIZE + Long.numberOfTrailingZeros(found));
    }

    private long word(long word) throws IOException {
        entries.prepare(word / WORDS_IN_CHUNK);
        return (long) WORD.getOpaque(entries.entries(), word * Long.BYTES);
    }
}
