package io.microsnap.store.internal;

import io.microsnap.core.GuestLayout;
import io.microsnap.core.Progress;
import io.microsnap.core.internal.file.FileCopy;
import io.microsnap.core.internal.file.Reflink;
import io.microsnap.core.internal.posix.Descriptor;
import java.io.Closeable;
import java.io.IOException;
import java.lang.foreign.MemorySegment;
import java.lang.foreign.ValueLayout;
import java.nio.ByteOrder;
import java.util.Objects;

/**
 * The CRC32C of every page of a composed guest, with a root that stands for all of them: how an image is verified,
 * bound to its base, and compared with its siblings without being read.
 *
 * <p>Entries live off-heap and nothing is allocated to read or set one. A chunk of 1,024 entries is read and checked
 * when first touched. {@link #finish} writes what was set, in lines of 64 entries where a base's index was changed:
 * what an index costs follows what changed.
 *
 * <p>Threads may read and set different pages at the same time; {@code finish} and {@code close} come after them. The
 * descriptors stay the caller's and must outlive the index.
 */
public final class PageIndex implements Closeable {
    /** How many pages' checksums are read, and checked, together. */
    public static final int PAGES_IN_CHUNK = EntryTable.CHUNK_BYTES / Integer.BYTES;

    private static final ValueLayout.OfInt ENTRY = ValueLayout.JAVA_INT_UNALIGNED.withOrder(ByteOrder.LITTLE_ENDIAN);

    private final IndexEntries entries;
    private final long pageCount;
    private final int zeroPage;
    private final int lastZeroPage;

    private PageIndex(IndexEntries entries) {
        this.entries = entries;
        GuestLayout layout = entries.table().layout();
        pageCount = layout.pageCount();
        zeroPage = EntryTable.ofZeros(layout.pageBytes());
        int rest = (int) (layout.lengthBytes() % layout.pageBytes());
        lastZeroPage = rest == 0 ? zeroPage : EntryTable.ofZeros(rest);
    }

    /** In an empty file, the index of a guest whose pages are all zero. */
    public static PageIndex create(Descriptor file, GuestLayout layout) throws IOException {
        return new PageIndex(PageEntries.create(EntryTable.Form.INDEX, layout, file));
    }

    /**
     * In an empty file, a copy of the base's index that may be changed: its blocks are shared where the filesystem
     * can. The base must stay open.
     */
    public static PageIndex createFrom(PageIndex base, Descriptor file) throws IOException {
        Descriptor original = base.entries.table().file();
        boolean cloned = new Reflink().cloneContent(original, file).isCloned();
        if (!cloned) {
            FileCopy.fill(original, file, Progress.NONE);
        }
        return new PageIndex(ChangedEntries.of(base.entries, file, cloned));
    }

    /** For reading. Refuses a file that is damaged or not of this layout with a {@code DamagedException}. */
    public static PageIndex open(Descriptor file, GuestLayout layout) throws IOException {
        return new PageIndex(PageEntries.open(EntryTable.Form.INDEX, layout, file));
    }

    static int rootOf(Descriptor file, GuestLayout layout) throws IOException {
        return PageEntries.rootOf(EntryTable.Form.INDEX, layout, file);
    }

    public GuestLayout layout() {
        return entries.table().layout();
    }

    /** The CRC32C of a page. A last partial page counts the bytes it has. */
    public int crc(long page) throws IOException {
        return entries.get(Objects.checkIndex(page, pageCount)) ^ zero(page);
    }

    /** Whether a page has the checksum of zeros: true of another page only by collision. */
    public boolean isZero(long page) throws IOException {
        return crc(page) == zero(page);
    }

    /** Returns whether all pages of a run have the checksum of zeros. */
    public boolean isZero(long firstPage, long count) throws IOException {
        Objects.checkFromIndexSize(firstPage, count, pageCount);
        return entries.isClear(firstPage, count);
    }

    /** The CRC32Cs of a run of pages, as ints in native order, as many as the target holds. */
    public void crcs(long firstPage, MemorySegment target) throws IOException {
        long count = pagesOf(firstPage, target);
        entries.copy(firstPage, target);
        for (long index = 0; index < count; index++) {
            int entry = target.get(ENTRY, index * Integer.BYTES);
            target.set(ValueLayout.JAVA_INT_UNALIGNED, index * Integer.BYTES, entry ^ zero(firstPage + index));
        }
    }

    /** Records a page's CRC32C. */
    public void set(long page, int crc) throws IOException {
        entries.set(Objects.checkIndex(page, pageCount), crc ^ zero(page));
    }

    /** Records the CRC32Cs of a run of pages: ints in native order. */
    public void set(long firstPage, MemorySegment crcs) throws IOException {
        long count = pagesOf(firstPage, crcs);
        entries.load(firstPage, count);
        for (long index = 0; index < count; index++) {
            int crc = crcs.get(ValueLayout.JAVA_INT_UNALIGNED, index * Integer.BYTES);
            entries.set(firstPage + index, crc ^ zero(firstPage + index));
        }
    }

    /** Records that a run of pages is zero. */
    public void setZero(long firstPage, long count) throws IOException {
        Objects.checkFromIndexSize(firstPage, count, pageCount);
        entries.clear(firstPage, count);
    }

    /**
     * Whether another index of the same layout has, as published, the same checksums for all pages of a chunk, the one
     * that this page is in: known without reading them, and wrong by collision only.
     */
    public boolean isSameChunk(PageIndex other, long page) {
        long chunk = Objects.checkIndex(page, pageCount) / PAGES_IN_CHUNK;
        return entries.table().checksum(chunk) == other.entries.table().checksum(chunk);
    }

    /** The CRC32C that a page has when it is zero. */
    public int zero(long page) {
        return page == pageCount - 1 ? lastZeroPage : zeroPage;
    }

    /** Reads what will be needed of the base's index ahead of time: before the guest is paused. */
    public void load(long firstPage, long count) throws IOException {
        Objects.checkFromIndexSize(firstPage, count, pageCount);
        entries.load(firstPage, count);
    }

    /** Takes the memory that changing these pages' checksums needs: before the guest is paused. */
    public void populate(long firstPage, long count) throws IOException {
        Objects.checkFromIndexSize(firstPage, count, pageCount);
        entries.populate(firstPage, count);
    }

    /** Reads and checks every entry that was not yet touched; a {@code DamagedException} names the place. */
    public void verify() throws IOException {
        entries.verify();
    }

    /** The root as of the last {@link #finish}, or as it was read. */
    public int root() {
        return entries.table().root();
    }

    /** Writes what was set since, and returns the new root. Nothing is synced: publication does that. */
    public int finish() throws IOException {
        return entries.finish();
    }

    /** Frees the entries; what was set after the last {@link #finish} is forgotten. */
    @Override
    public void close() throws IOException {
        entries.close();
    }

    private long pagesOf(long firstPage, MemorySegment crcs) {
        if (crcs.byteSize() % Integer.BYTES != 0) {
            throw new IllegalArgumentException(crcs.byteSize() + " bytes hold no whole number of checksums");
        }
        long count = crcs.byteSize() / Integer.BYTES;
        Objects.checkFromIndexSize(firstPage, count, pageCount);
        return count;
    }
}
